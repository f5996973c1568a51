//! What can never block is always ready, also where a mechanism (`epoll`) refuses to watch it.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create, open};
use trunkline_selectors::{Interest, Mechanism, Selector};

use super::answers::assert_ready;
use crate::support::{add, now, selector, told};

/// Whatever is asked for, as long as it is input or output.
const ALWAYS: [&str; 2] = ["readable", "writable"];

/// This very program: a regular file that is surely there.
fn regular_file() -> File {
    let path = std::env::current_exe().expect("this program has a file");
    File::open(path).expect("readable")
}

fn opened(path: &str, flags: OFlags) -> OwnedFd {
    open(path, flags | OFlags::CLOEXEC, Mode::empty()).expect("opened")
}

fn in_memory() -> OwnedFd {
    memfd_create("trunkline", MemfdFlags::CLOEXEC).expect("a file in memory")
}

pub(crate) fn a_regular_file(mechanism: Mechanism) {
    assert_ready(mechanism, regular_file(), &ALWAYS);
}

pub(crate) fn a_regular_file_at_its_end(mechanism: Mechanism) {
    let file = regular_file();
    let end = std::io::Seek::seek(&mut &file, std::io::SeekFrom::End(0)).expect("sought");
    assert!(end > 0);
    assert_ready(mechanism, &file, &ALWAYS);
}

pub(crate) fn an_anonymous_file_in_memory(mechanism: Mechanism) {
    assert_ready(mechanism, in_memory(), &ALWAYS);
}

pub(crate) fn a_directory(mechanism: Mechanism) {
    let directory = opened("/", OFlags::RDONLY | OFlags::DIRECTORY);
    assert_ready(mechanism, directory, &ALWAYS);
}

pub(crate) fn the_null_device(mechanism: Mechanism) {
    assert_ready(mechanism, opened("/dev/null", OFlags::RDWR), &ALWAYS);
}

/// Opened to read: a write fails, but does not block.
pub(crate) fn a_file_without_access(mechanism: Mechanism) {
    assert_ready(mechanism, opened("/dev/null", OFlags::RDONLY), &ALWAYS);
}

pub(crate) fn all_of_them_together(mechanism: Mechanism) {
    let sources = [
        regular_file().into(),
        in_memory(),
        opened("/", OFlags::RDONLY | OFlags::DIRECTORY),
        opened("/dev/null", OFlags::RDWR),
    ];
    let mut selector: Selector<_, _> = selector(mechanism);
    let mut expected: Vec<_> = sources
        .iter()
        .map(|source| {
            let key = add(&mut selector, source.as_fd(), Interest::WRITE, ());
            (key, vec!["writable"])
        })
        .collect();
    expected.sort();
    for _ in 0..3 {
        assert_eq!(told(&now(&mut selector)), expected);
    }
    // Any of them can go, and the others stay.
    while let Some((key, _)) = expected.pop() {
        assert!(selector.unregister(key).is_some());
        assert_eq!(told(&now(&mut selector)), expected);
    }
}
