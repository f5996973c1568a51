//! Chromium without a screen: what a page looks like in it.

use std::collections::HashSet;
use std::env;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const PROGRAM: &str = "chromium";
/// `timeout` ends a browser that hangs, so that the test fails instead of hanging too.
const PATIENCE_SECONDS: &str = "120";
/// High enough for any of our pages.
const FRAME_HEIGHT: u32 = 12_000;

/// What somebody looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    pub(crate) width: u32,
    height: u32,
}

impl Screen {
    pub(crate) const WIDE: Self = Self {
        width: 1280,
        height: 3_000,
    };
    pub(crate) const PHONE: Self = Self {
        width: 390,
        height: 3_000,
    };
}

/// Which colours somebody prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Light,
    Dark,
}

/// What the probe has seen.
pub(crate) struct Seen {
    /// What the browser said of errors.
    pub(crate) complaints: Vec<String>,
    pub(crate) figures: u64,
    pub(crate) figures_drawn: u64,
    /// Texts in the figures.
    pub(crate) words: u64,
    /// The smallest, in points of the screen.
    pub(crate) letters_min: f64,
    pub(crate) contrast_min: f64,
    /// What lies outside of its place, or over something else.
    pub(crate) overflowing: Vec<String>,
    /// Of the page, which should be no wider than the screen.
    pub(crate) width: f64,
}

/// A screenshot, in figures.
pub(crate) struct Picture {
    pub(crate) paper_is_dark: bool,
    /// How much of it differs from the paper.
    pub(crate) ink_percent: f64,
    pub(crate) colours: usize,
}

/// Whether there is a browser; if not, the reason is printed, and in strict mode it fails.
pub(crate) fn is_there() -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).any(|folder| folder.join(PROGRAM).is_file());
    let strict = env::var_os("TRUNKLINE_NO_SKIP").is_some()
        || env::var("CI").is_ok_and(|value| value == "true");
    let reason = format!("`{PROGRAM}` is not installed");
    assert!(
        found || !strict,
        "{reason}, and nothing may be skipped here"
    );
    if !found {
        eprintln!("skipped: {reason}");
    }
    found
}

/// Shows `page.html` of this folder in the probe.
pub(crate) fn seen(folder: &Path, screen: Screen, scheme: Scheme) -> Seen {
    let probe = include_str!("probe.html")
        .replace("WIDTH", &screen.width.to_string())
        .replace("HEIGHT", &FRAME_HEIGHT.to_string());
    let path = folder.join("probe.html");
    fs::write(&path, probe).unwrap();
    let output = chromium(
        folder,
        scheme,
        &["--allow-file-access-from-files", "--dump-dom"],
        &path,
    );
    let complaints = String::from_utf8_lossy(&output.stderr)
        .lines()
        .filter(|line| line.contains(":CONSOLE"))
        .map(str::to_owned)
        .collect();
    let dom = String::from_utf8_lossy(&output.stdout);
    let found = dom
        .split_once("<pre id=\"seen\">")
        .and_then(|(_, rest)| rest.split_once("</pre>"))
        .unwrap_or_else(|| panic!("the probe has said nothing: {output:?}"));
    let found = found
        .0
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    let found: Value = serde_json::from_str(&found)
        .unwrap_or_else(|error| panic!("{error}: {found:?}; {complaints:?}"));
    let overflowing = found["overflowing"].as_array().unwrap().iter();
    Seen {
        complaints,
        figures: found["figures"].as_u64().unwrap(),
        figures_drawn: found["figures_drawn"].as_u64().unwrap(),
        words: found["words"].as_u64().unwrap(),
        letters_min: found["letters_min"].as_f64().unwrap(),
        contrast_min: found["contrast_min"].as_f64().unwrap(),
        overflowing: overflowing.map(ToString::to_string).collect(),
        width: found["width"].as_f64().unwrap(),
    }
}

/// Takes a picture of `page.html` of this folder.
pub(crate) fn picture(folder: &Path, screen: Screen, scheme: Scheme) -> Picture {
    let shot = folder.join("screenshot.png");
    let _ = fs::remove_file(&shot);
    let arguments = [
        "--hide-scrollbars".to_owned(),
        format!("--window-size={},{}", screen.width, screen.height),
        format!("--screenshot={}", shot.display()),
    ];
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let output = chromium(folder, scheme, &arguments, &folder.join("page.html"));
    assert!(shot.exists(), "no picture was taken: {output:?}");
    let mut reader = png::Decoder::new(BufReader::new(File::open(shot).unwrap()))
        .read_info()
        .unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    let pixels: Vec<_> = bytes[..info.buffer_size()]
        .chunks_exact(info.color_type.samples())
        .map(|pixel| [pixel[0], pixel[1], pixel[2]])
        .collect();
    let paper = pixels[0];
    let ink = pixels.iter().filter(|&&pixel| pixel != paper).count();
    #[allow(clippy::cast_precision_loss, reason = "a number of pixels")]
    let ink_percent = 100.0 * ink as f64 / pixels.len() as f64;
    Picture {
        paper_is_dark: paper.iter().map(|&part| u32::from(part)).sum::<u32>() < 3 * 128,
        ink_percent,
        colours: pixels.into_iter().collect::<HashSet<_>>().len(),
    }
}

fn chromium(folder: &Path, scheme: Scheme, arguments: &[&str], page: &Path) -> Output {
    // As in the browser's source: 0 is dark, 1 is light.
    let preferred = match scheme {
        Scheme::Light => 1,
        Scheme::Dark => 0,
    };
    Command::new("timeout")
        .args([PATIENCE_SECONDS, PROGRAM, "--headless", "--disable-gpu"])
        // The page is our own. The browser's sandbox does not work for root, who runs tests in many a container.
        .args(["--no-sandbox", "--disable-dev-shm-usage"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=10000"])
        .arg(format!("--blink-settings=preferredColorScheme={preferred}"))
        .arg(format!(
            "--user-data-dir={}",
            folder.join("profile").display()
        ))
        .args(arguments)
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("a browser that is installed can be started")
}
