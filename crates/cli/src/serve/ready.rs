//! `--ready-file`: whether new clients are welcome, for whoever sends them here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::chatter::say;
use crate::failure::Failure;

/// The file is there from the making of this to its end.
pub(crate) struct ReadyFile {
    path: PathBuf,
}

impl ReadyFile {
    /// Writes the file in one step: whoever finds it finds all of it.
    pub(crate) fn write(path: &Path, addresses: &[String]) -> Result<Self, Failure> {
        let fail = |error: io::Error| {
            let what = format!("cannot write the ready file {}: {error}", path.display());
            Failure::failed(what).with_hint(
                "the directory has to be there, and this user has to be allowed to write to it",
            )
        };
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(format!(".{}", std::process::id()));
        let unfinished = PathBuf::from(unfinished);
        let mut text = addresses.join("\n");
        text.push('\n');
        fs::write(&unfinished, text).map_err(fail)?;
        if let Err(error) = fs::rename(&unfinished, path) {
            let _ = fs::remove_file(&unfinished);
            return Err(fail(error));
        }
        let path = std::path::absolute(path).map_err(fail)?;
        Ok(Self { path })
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        match fs::remove_file(&self.path) {
            Ok(()) => {}
            // Somebody else has removed it, which comes to the same.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => say(&format!(
                "cannot remove the ready file {}: {error}",
                self.path.display()
            )),
        }
    }
}
