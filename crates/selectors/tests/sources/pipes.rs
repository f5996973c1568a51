//! Pipes, with a name and without.

use std::io::{Read, Write};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use trunkline_selectors::Mechanism;

use super::answers::{assert_gets_ready, assert_hung_up, assert_ready, assert_wakes};
use super::place::Place;
use crate::support::{drain, fill};

pub(crate) fn a_pipes_reader(mechanism: Mechanism) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    assert_ready(mechanism, &reader, &[]);
    let happen = || writer.write_all(b"x").expect("written");
    let duplicate = reader.try_clone().expect("a duplicate");
    assert_wakes(mechanism, duplicate, happen, |mut reader| {
        reader.read_exact(&mut [0]).expect("a byte");
    });
    drop(writer);
    assert_hung_up(mechanism, &reader);
}

pub(crate) fn a_pipes_reader_whose_writer_leaves_data_behind(mechanism: Mechanism) {
    let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(b"last words").expect("written");
    drop(writer);
    assert_hung_up(mechanism, &reader);
    reader.read_exact(&mut [0; 10]).expect("the last words");
    assert_hung_up(mechanism, &reader);
    assert_eq!(reader.read(&mut [0; 8]).expect("the end"), 0);
}

pub(crate) fn a_pipes_writer(mechanism: Mechanism) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    rustix::io::ioctl_fionbio(&reader, true).expect("non-blocking");
    rustix::io::ioctl_fionbio(&writer, true).expect("non-blocking");
    assert_ready(mechanism, &writer, &["writable"]);
    fill(&writer);
    assert_ready(mechanism, &writer, &[]);
    assert!(drain(&reader) > 0);
    assert_ready(mechanism, &writer, &["writable"]);
}

pub(crate) fn a_pipes_writer_whose_reader_leaves(mechanism: Mechanism) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    // Readable, because an error is what a read would meet; nobody reads from a writer.
    assert_gets_ready(mechanism, &writer, &["readable", "writable", "error"]);
}

pub(crate) fn a_named_pipe(mechanism: Mechanism) {
    let place = Place::new("fifo", mechanism);
    let path = place.file("fifo");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a named pipe");
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
    let reader = open(&path, flags | OFlags::RDONLY, Mode::empty()).expect("opened to read");
    // Nobody has opened it to write yet, which is not a hang-up.
    assert_ready(mechanism, &reader, &[]);
    let writer = open(&path, flags | OFlags::WRONLY, Mode::empty()).expect("opened to write");
    assert_ready(mechanism, &writer, &["writable"]);
    let happen = || {
        rustix::io::write(&writer, b"x").expect("written");
    };
    let duplicate = reader.try_clone().expect("a duplicate");
    assert_wakes(mechanism, duplicate, happen, |reader| {
        rustix::io::read(reader, &mut [0; 8]).expect("a byte");
    });
    drop(writer);
    assert_hung_up(mechanism, &reader);
    // The next writer takes the hang-up back.
    let writer = open(&path, flags | OFlags::WRONLY, Mode::empty()).expect("opened again");
    assert_ready(mechanism, &reader, &[]);
    drop(writer);
}
