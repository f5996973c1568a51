//! Where a case keeps what needs a name.

use std::path::{Path, PathBuf};

use trunkline_selectors::Mechanism;

/// A folder of a case's own, which goes when this goes.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new(name: &str, mechanism: Mechanism) -> Place {
        let mut path = std::env::temp_dir();
        path.push(format!(
            "trunkline-{}-{name}-{mechanism}",
            std::process::id()
        ));
        std::fs::create_dir(&path).expect("a new folder");
        Place(path)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is left behind in a folder for temporary files is no reason to fail.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
