//! TUN devices: what a host sends through one, this process reads (Linux, tuntap.rst).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

const DEVICE: &str = "/dev/net/tun";

/// Whether this user can make devices, as far as that can be told by making one.
pub fn may_make() -> bool {
    // SAFETY: it takes nothing and cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    root && open("ctprobe").is_ok()
}

/// Makes a device of whole IP packets; it is gone when the file is closed.
pub fn open(name: &str) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).open(DEVICE)?;
    // SAFETY: all zeroes is a valid value of this C struct of integers and arrays.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(room)) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the descriptor is open, and the request outlives the call that reads it.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &request) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(file)
}

/// Whether there is something to read, waiting for it a while.
pub fn is_readable(file: &File, patience: Duration) -> bool {
    let mut poll = libc::pollfd {
        fd: file.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one valid entry, whose count is given.
    let ready = unsafe { libc::poll(&mut poll, 1, patience.as_millis() as libc::c_int) };
    ready > 0
}
