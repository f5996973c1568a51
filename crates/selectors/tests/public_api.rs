//! What the crate offers to others, held against `public-api.txt`: a change of it shows up in review as what it is.
//!
//! The surface is read from the sources, so that no other compiler than the usual one is needed: everything that can be
//! reached from the crate's root, without bodies, private parts and documentation.

#![cfg(target_os = "linux")] // it is the same everywhere
#![forbid(unsafe_code)]

mod public_api {
    pub(crate) mod difference;
    pub(crate) mod sources;
    pub(crate) mod stripped;
    pub(crate) mod surface;
}

use std::fs;
use std::path::Path;

use public_api::{difference, surface};

/// Set to anything, it has the file written anew.
const UPDATE: &str = "TRUNKLINE_UPDATE_PUBLIC_API";

const HEADING: &str = "\
// What trunkline-selectors offers to others. `_` stands for what is private. Written by
//     TRUNKLINE_UPDATE_PUBLIC_API=1 cargo test --package trunkline-selectors --test public_api
// and compared by the same command without the variable.
";

#[test]
fn the_public_surface_is_what_was_reviewed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let now = format!(
        "{HEADING}{}",
        surface::of("trunkline_selectors", &folder.join("src/lib.rs"))
    );
    let file = folder.join("public-api.txt");
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&file, now).expect("written");
        return;
    }
    let reviewed = fs::read_to_string(&file).expect("the reviewed surface");
    assert!(
        now == reviewed,
        "the public surface has changed:\n\n{}\nIf that is meant, say so with\n    {UPDATE}=1 cargo test --package \
         trunkline-selectors --test public_api\nand tell users in CHANGELOG.md.",
        difference::between(&reviewed, &now)
    );
}

/// What the compiler adds to a type by itself cannot be read from the sources.
#[test]
fn what_may_be_sent_to_other_threads_stays_so() {
    use std::net::TcpStream;
    use trunkline_selectors as ours;

    fn is_sent<T: Send>() {}
    fn is_shared<T: Send + Sync>() {}
    is_sent::<ours::Selector<TcpStream, Vec<u8>>>();
    is_shared::<ours::Waker>();
    is_shared::<ours::raw::RawSelector>();
    is_shared::<ours::Slab<u8>>();
    is_shared::<ours::RegisterError<TcpStream, Vec<u8>>>();
    is_shared::<ours::Unavailable>();
    is_shared::<ours::ParseMechanismError>();
}
