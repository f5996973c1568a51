//! The machine: file systems, limits, the loopback interface.

use std::fs;
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, sendto, socket,
};
use rustix::mount::{MountFlags, mount};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::system::{RebootCommand, reboot};

use crate::Outcome;

/// Descriptors that one process may have, and a few more than any scenario needs.
const DESCRIPTORS_MAX: u64 = 2_500_000;

/// Room for two sockets of each connection, for the ports of the clients, and for the kernel's own tables.
const SETTINGS: [(&str, &str); 7] = [
    ("fs/nr_open", "2500000"),
    ("fs/file-max", "6000000"),
    ("net/core/somaxconn", "65535"),
    ("net/ipv4/ip_local_port_range", "1024 65535"),
    ("net/ipv4/tcp_max_syn_backlog", "65535"),
    ("net/ipv4/tcp_max_orphans", "2500000"),
    // Pages: of the sockets' buffers, not of the sockets.
    ("net/ipv4/tcp_mem", "1000000 1500000 2000000"),
];

pub(crate) fn set_up() -> Outcome {
    for (kind, place) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        fs::create_dir_all(place)?;
        mount(kind, place, kind, MountFlags::empty(), None)?;
    }
    for (setting, value) in SETTINGS {
        let path = format!("/proc/sys/{setting}");
        fs::write(&path, value).map_err(|error| format!("{path}: {error}"))?;
    }
    let limit = Rlimit {
        current: Some(DESCRIPTORS_MAX),
        maximum: Some(DESCRIPTORS_MAX),
    };
    setrlimit(Resource::Nofile, limit)?;
    raise_loopback()
}

/// Asks the kernel for what `ip link set lo up` does: rtnetlink(7).
fn raise_loopback() -> Outcome {
    const RTM_NEWLINK: u16 = 16;
    const NLM_F_REQUEST: u16 = 1;
    const IFF_UP: u32 = 1;
    const LOOPBACK: i32 = 1;
    let mut message = Vec::new();
    // struct nlmsghdr: length, type, flags, sequence number, port.
    message.extend_from_slice(&32_u32.to_ne_bytes());
    message.extend_from_slice(&RTM_NEWLINK.to_ne_bytes());
    message.extend_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    // struct ifinfomsg: family and type, index, flags, which flags change.
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(&LOOPBACK.to_ne_bytes());
    message.extend_from_slice(&IFF_UP.to_ne_bytes());
    message.extend_from_slice(&IFF_UP.to_ne_bytes());
    let route = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::empty(),
        SockProtocol::NetlinkRoute,
    )?;
    let kernel = NetlinkAddr::new(0, 0);
    sendto(route.as_raw_fd(), &message, &kernel, MsgFlags::empty())?;
    Ok(())
}

/// The value of `name=value` on the kernel's command line.
pub(crate) fn command_line(name: &str) -> Result<String, String> {
    let line = fs::read_to_string("/proc/cmdline").map_err(|error| error.to_string())?;
    let mut words = line.split_whitespace();
    let value = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value
        .map(str::to_owned)
        .ok_or_else(|| format!("the kernel's command line has no {name}="))
}

/// A line of a file under /proc that counts kibibytes, in bytes.
pub(crate) fn bytes(path: &str, name: &str) -> Result<u64, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let count = line.and_then(|line| line.split_whitespace().find_map(|word| word.parse().ok()));
    let count: u64 = count.ok_or_else(|| format!("{path} has no {name}"))?;
    Ok(count * 1024)
}

pub(crate) fn switch_off() {
    if let Err(error) = reboot(RebootCommand::PowerOff) {
        println!("cannot switch off: {error}");
    }
}
