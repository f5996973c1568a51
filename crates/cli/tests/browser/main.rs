//! The pages that the program writes, in a browser: everything is drawn, nothing is complained about, and what is written
//! can be read, on a wide screen and on a phone, in light and in dark.
//!
//! A page has no script. So it is shown in a frame of another page (`probe.html`), whose script measures what it sees
//! there. Without `chromium` the test is skipped with a reason; with `CI=true`, or under `cargo xtask test --no-skip`, that
//! is a failure.
#![forbid(unsafe_code)]

mod browser;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use browser::{Scheme, Screen, is_there, picture, seen};

/// A folder with a page of `trunkline compare`, removed when the test is over.
struct Written {
    folder: PathBuf,
}

impl Written {
    fn page() -> Self {
        let name = format!("browser-{}", process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_trunkline"))
            .args(["compare", "--rounds", "2", "--sources-max", "300"])
            .args(["--connections-max", "10", "--html"])
            .arg(folder.join("page.html"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        Self { folder }
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Letters on a screen that are smaller than this many points of it are a strain.
const LETTERS_MIN: f64 = 12.0;
/// What the guidelines for accessible pages (WCAG 2, AA) ask of text.
const CONTRAST_MIN: f64 = 4.5;

#[test]
fn the_page_of_compare_is_drawn_and_can_be_read() {
    if !is_there() {
        return;
    }
    let written = Written::page();
    for screen in [Screen::WIDE, Screen::PHONE] {
        for scheme in [Scheme::Light, Scheme::Dark] {
            let case = format!("{screen:?}, {scheme:?}");
            let seen = seen(&written.folder, screen, scheme);
            assert_eq!(seen.complaints, Vec::<String>::new(), "{case}");
            assert_eq!(seen.figures, 12, "{case}");
            assert_eq!(seen.figures_drawn, seen.figures, "{case}");
            assert!(seen.words > 12 * 10, "{case}: {}", seen.words);
            assert!(
                seen.letters_min >= LETTERS_MIN,
                "{case}: {}",
                seen.letters_min
            );
            assert!(
                seen.contrast_min >= CONTRAST_MIN,
                "{case}: {}",
                seen.contrast_min
            );
            assert_eq!(seen.overflowing, Vec::<String>::new(), "{case}");
            assert!(
                seen.width <= f64::from(screen.width),
                "{case}: {}",
                seen.width
            );

            let picture = picture(&written.folder, screen, scheme);
            assert_eq!(picture.paper_is_dark, scheme == Scheme::Dark, "{case}");
            // Letters and lines: neither an empty sheet nor a black one.
            assert!(
                picture.ink_percent > 1.0 && picture.ink_percent < 40.0,
                "{case}: {} %",
                picture.ink_percent
            );
            assert!(picture.colours > 50, "{case}: {}", picture.colours);
        }
    }
}
