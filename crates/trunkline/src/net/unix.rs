//! Unix-domain stream sockets: names, listening with a file that goes away again, connecting.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FlockOperation::LockExclusive;
use rustix::fs::flock;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::SocketAddrUnix;
use socket2::{Domain, Socket, Type};

use super::address::Problem;
use super::{Error, Operation};

/// The name of a Unix-domain socket: a path, an abstract name (Linux), or none, which is what a client has as a rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixAddress(Option<Arc<Name>>);

#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Name {
    Path(PathBuf),
    Abstract(Box<[u8]>),
}

impl UnixAddress {
    /// A socket file.
    ///
    /// # Errors
    /// When the path is empty or longer than the system takes (about 100 bytes).
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::checked(Name::Path(path.as_ref().to_owned()))
    }

    /// A name that is no file: it goes with the last socket that has it. Linux only.
    ///
    /// # Errors
    /// When the name is empty or too long, or the system has no such names.
    pub fn from_abstract_name(name: impl AsRef<[u8]>) -> Result<Self, Error> {
        Self::checked(Name::Abstract(name.as_ref().into()))
    }

    /// What a socket has that is bound to no name.
    pub fn unnamed() -> Self {
        Self(None)
    }

    /// As it is typed: `@` begins an abstract name.
    pub(super) fn named(text: &str) -> Result<Self, Error> {
        match text.strip_prefix('@') {
            Some(name) => Self::from_abstract_name(name),
            None => Self::from_path(text),
        }
    }

    fn checked(name: Name) -> Result<Self, Error> {
        let address = Self(Some(Arc::new(name)));
        let problem = match address.encoded() {
            _ if address.is_empty() => Problem::NoName,
            Err(Errno::NAMETOOLONG) => Problem::NameTooLong,
            Err(Errno::AFNOSUPPORT) => Problem::NoAbstractNames,
            Err(_) => Problem::NameWithNul,
            Ok(_) => return Ok(address),
        };
        let source = io::Error::new(io::ErrorKind::InvalidInput, problem);
        Err(Error::new(Operation::Resolve, address.to_string(), source))
    }

    fn is_empty(&self) -> bool {
        match self.0.as_deref() {
            Some(Name::Path(path)) => path.as_os_str().is_empty(),
            Some(Name::Abstract(name)) => name.is_empty(),
            None => false,
        }
    }

    /// The path of the socket file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self.0.as_deref() {
            Some(Name::Path(path)) => Some(path),
            _ => None,
        }
    }

    /// The abstract name, if it is one.
    pub fn abstract_name(&self) -> Option<&[u8]> {
        match self.0.as_deref() {
            Some(Name::Abstract(name)) => Some(name),
            _ => None,
        }
    }

    /// Has it no name?
    pub fn is_unnamed(&self) -> bool {
        self.0.is_none()
    }

    fn encoded(&self) -> Result<SocketAddrUnix, Errno> {
        match self.0.as_deref() {
            Some(Name::Path(path)) => SocketAddrUnix::new(path),
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Some(Name::Abstract(name)) => SocketAddrUnix::new_abstract_name(name),
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            Some(Name::Abstract(_)) => Err(Errno::AFNOSUPPORT),
            None => Err(Errno::DESTADDRREQ),
        }
    }
}

impl fmt::Display for UnixAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_deref() {
            Some(Name::Path(path)) => write!(formatter, "unix:{}", path.display()),
            Some(Name::Abstract(name)) => {
                write!(formatter, "unix:@{}", OsStr::from_bytes(name).display())
            }
            None => formatter.write_str("unix:(unnamed)"),
        }
    }
}

impl From<SocketAddrUnix> for UnixAddress {
    fn from(address: SocketAddrUnix) -> Self {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(name) = address.abstract_name() {
            return Self(Some(Arc::new(Name::Abstract(name.into()))));
        }
        match address.path_bytes() {
            Some(path) if !path.is_empty() => {
                let path = PathBuf::from(OsStr::from_bytes(path));
                Self(Some(Arc::new(Name::Path(path))))
            }
            _ => Self::unnamed(),
        }
    }
}

/// A socket file of ours; it is removed when this goes, unless somebody else's has taken its place.
///
/// It goes before the socket does: as long as the socket is open nobody else's file can have its number, and whoever wants
/// the name finds either somebody who answers or no file.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self {
            // Whoever removes it may be in another directory by then.
            path: std::path::absolute(path)?,
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| metadata.dev() == self.device && metadata.ino() == self.inode);
        if is_ours {
            // Should it fail, the next server finds that nobody answers there.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens a non-blocking listening socket. A file that a dead server has left behind is replaced; where anybody answers,
/// it is not. `mode` is the file's permission bits; without it the umask decides.
pub(crate) fn listen(
    address: &UnixAddress,
    backlog: u32,
    mode: Option<u32>,
) -> io::Result<(OwnedFd, Option<SocketFile>)> {
    let socket = non_blocking_socket()?;
    let name = address.encoded()?;
    let file = if let Some(path) = address.path() {
        bind_to_file(&socket, &name, path)?;
        Some(SocketFile::at(path)?)
    } else {
        rustix::net::bind(&socket, &name)?;
        None
    };
    if let (Some(file), Some(mode)) = (&file, mode) {
        // Before `listen`: until then nobody gets in.
        fs::set_permissions(&file.path, fs::Permissions::from_mode(mode))?;
    }
    rustix::net::listen(&socket, i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok((socket, file))
}

fn bind_to_file(socket: &OwnedFd, name: &SocketAddrUnix, path: &Path) -> io::Result<()> {
    // Of two servers that find the same stale file, one must not remove the other's new one. A lock on the directory
    // leaves nothing behind; where it cannot be had, both are still right as long as they are not at it at once.
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = fs::File::open(directory.unwrap_or(Path::new(".")));
    let _locked = directory
        .ok()
        .filter(|directory| retry_on_intr(|| flock(directory, LockExclusive)).is_ok());
    match rustix::net::bind(socket, name) {
        Err(Errno::ADDRINUSE) => {}
        bound => return Ok(bound?),
    }
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, InTheWay));
    }
    let probe = non_blocking_socket()?;
    match rustix::net::connect(&probe, name) {
        Err(Errno::CONNREFUSED) => {}
        // Somebody answers, or listens with a full backlog, or it cannot be known.
        _ => return Err(Errno::ADDRINUSE.into()),
    }
    fs::remove_file(path)?;
    Ok(rustix::net::bind(socket, name)?)
}

/// Connects, which in this domain is done at once or not at all: `WouldBlock` says that the backlog is full.
pub(crate) fn connect(address: &UnixAddress) -> io::Result<OwnedFd> {
    let socket = non_blocking_socket()?;
    let name = address.encoded()?;
    loop {
        match rustix::net::connect(&socket, &name) {
            Err(Errno::INTR) => {}
            outcome => {
                outcome?;
                return Ok(socket);
            }
        }
    }
}

fn non_blocking_socket() -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// The path is taken by something that is no socket.
#[derive(Debug)]
pub(super) struct InTheWay;

impl fmt::Display for InTheWay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a file that is no socket is in the way")
    }
}

impl std::error::Error for InTheWay {}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::super::ErrorKind;
    use super::*;

    /// A directory of its own for each test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let unique = format!("trunkline-unix-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(unique);
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn socket(&self) -> (PathBuf, UnixAddress) {
            let path = self.0.join("socket");
            let address = UnixAddress::from_path(&path).unwrap();
            (path, address)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_file_is_there_as_long_as_the_server() {
        let folder = Folder::new("life");
        let (path, address) = folder.socket();
        let (listener, file) = listen(&address, 8, Some(0o600)).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        UnixStream::connect(&path).unwrap();
        drop(file);
        assert!(!path.exists());
        drop(listener);
    }

    #[test]
    fn a_file_that_a_dead_server_left_is_replaced_and_a_living_one_is_not() {
        let folder = Folder::new("stale");
        let (path, address) = folder.socket();
        let (listener, file) = listen(&address, 1, None).unwrap();
        let second = listen(&address, 8, None).unwrap_err();
        let second = Error::new(Operation::Bind, address.to_string(), second);
        assert_eq!(second.kind(), ErrorKind::AddressInUse);
        // A full backlog is an answer too.
        let waiting: Vec<_> = std::iter::repeat_with(|| connect(&address))
            .take_while(Result::is_ok)
            .collect();
        assert!(!waiting.is_empty());
        assert!(listen(&address, 8, None).is_err());
        // As if it had been killed: who ends by itself removes the file.
        let aside = path.with_extension("aside");
        fs::rename(&path, &aside).unwrap();
        drop((listener, file));
        fs::rename(&aside, &path).unwrap();
        assert!(path.exists());
        let (_listener, file) = listen(&address, 8, None).unwrap();
        UnixStream::connect(&path).unwrap();
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn the_file_of_a_successor_stays() {
        let folder = Folder::new("successor");
        let (path, address) = folder.socket();
        let (_old_listener, old) = listen(&address, 8, None).unwrap();
        // Somebody tidies up.
        fs::remove_file(&path).unwrap();
        let (_new_listener, _new) = listen(&address, 8, None).unwrap();
        drop(old);
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let folder = Folder::new("file");
        let (path, address) = folder.socket();
        fs::write(&path, "precious").unwrap();
        let error = listen(&address, 8, None).unwrap_err();
        let error = Error::new(Operation::Bind, address.to_string(), error);
        assert_eq!(error.kind(), ErrorKind::AddressInUse);
        assert!(error.to_string().contains("no socket"), "{error}");
        assert!(error.hint().is_some());
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn what_is_not_there_is_told_apart() {
        let folder = Folder::new("absent");
        let (_, address) = folder.socket();
        let error = connect(&address).unwrap_err();
        let error = Error::new(Operation::Connect, address.to_string(), error);
        assert_eq!(error.kind(), ErrorKind::NoSuchFile);
        assert!(error.hint().unwrap().contains("path"));
        let nowhere = UnixAddress::from_path(folder.0.join("none/socket")).unwrap();
        let error = listen(&nowhere, 8, None).unwrap_err();
        let error = Error::new(Operation::Bind, nowhere.to_string(), error);
        assert_eq!(error.kind(), ErrorKind::NoSuchFile);
        assert!(error.hint().unwrap().contains("directory"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_abstract_name_is_no_file() {
        let name = format!("trunkline-{}", std::process::id());
        let address = UnixAddress::from_abstract_name(&name).unwrap();
        let (_listener, file) = listen(&address, 8, None).unwrap();
        assert!(file.is_none());
        connect(&address).unwrap();
        assert!(listen(&address, 8, None).is_err());
    }
}
