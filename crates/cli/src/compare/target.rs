//! Where the page goes, without destroying what somebody else has put there.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// In the first lines of each of our pages.
pub(super) const MARK: &str = "<meta name=\"generator\" content=\"trunkline compare\">";
/// Within which the mark stands.
const HEAD_BYTES: u64 = 2_048;

/// A file that may be written.
#[derive(Debug)]
pub(super) struct Target(PathBuf);

impl Target {
    /// Refuses a file that is not one of our own pages, and a place where nothing can be written.
    pub(super) fn check(path: &Path, force: bool) -> Result<Self, Failure> {
        let shown = path.display();
        match head(path) {
            Ok(head) if !force && !head.contains(MARK) => {
                return Err(Failure::usage(format!(
                    "{shown} is there already, and is no page of trunkline compare"
                ))
                .with_hint("choose another name with --html, or overwrite it with --force"));
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(cannot_write(path, &error)),
        }
        // Asked now rather than after two minutes of measuring.
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let is_folder = fs::metadata(folder).map(|metadata| metadata.is_dir());
        match is_folder {
            Ok(true) => Ok(Self(path.to_owned())),
            Ok(false) => Err(cannot_write(path, &ErrorKind::NotADirectory.into())),
            Err(error) => Err(cannot_write(path, &error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes the page beside its place first: whoever looks sees the old page or the new one, never half of one.
    pub(super) fn write(&self, page: &str) -> Result<(), Failure> {
        let mut beside = self.0.clone().into_os_string();
        beside.push(".new");
        let written = File::create(&beside).and_then(|mut file| {
            file.write_all(page.as_bytes())?;
            fs::rename(&beside, &self.0)
        });
        written.map_err(|error| {
            let _ = fs::remove_file(&beside);
            cannot_write(&self.0, &error)
        })
    }
}

fn head(path: &Path) -> io::Result<String> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!(
        "cannot write the page {}: {}",
        path.display(),
        error.kind()
    ))
    .with_hint("choose another place with --html")
}
