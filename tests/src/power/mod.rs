//! Power that can be cut: a file system under RocksDB from which everything vanishes that was not
//! synced.
//!
//! It is RocksDB's own FaultInjectionTestFS (supply.cc). Data that is appended stays in it until it
//! is synced, a file that is made is gone until its directory is synced, and once the power is out
//! every operation fails. The store finds nothing of it out of the ordinary before that.

use std::ffi::{CStr, CString, c_char};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rocksdb::Env;

use crate::{Dice, PATIENCE, eventually};

/// Longer than a moment or an error is.
const TEXT: usize = 1024;

/// The power of one store.
pub struct PowerSupply {
    supply: *mut ffi::Supply,
}

// SAFETY: the supply's state is behind its own locks.
unsafe impl Send for PowerSupply {}
// SAFETY: as above.
unsafe impl Sync for PowerSupply {}

/// Whether a store's writes are on disk when they return, as a node's must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syncing {
    Synced,
    /// To see whether what is lost then is noticed.
    Unsynced,
}

/// A power cut that is over.
#[derive(Debug)]
pub struct Cut {
    /// What the store was about to do: an operation and a file.
    pub moment: String,
    /// Bytes that were written, not synced, and are gone.
    pub lost: u64,
    /// Bytes that were written, not synced, and are there all the same.
    pub kept: u64,
}

impl PowerSupply {
    /// Power that is on.
    pub fn new() -> PowerSupply {
        // SAFETY: takes nothing.
        let supply = unsafe { ffi::comity_power_new() };
        PowerSupply { supply }
    }

    /// The file system for a store's options.
    pub fn env(&self) -> Env {
        // SAFETY: the supply lives; the environment is new and handed over.
        unsafe { Env::from_raw(ffi::comity_power_env(self.supply)) }
    }

    /// Cuts the power before the operation on the store's files with this number, counted from now
    /// and from 1; with 0, not at all.
    pub fn cut_before(&self, operation: u64) {
        // SAFETY: the supply lives.
        unsafe { ffi::comity_power_cut_before(self.supply, operation) }
    }

    /// As [`PowerSupply::cut_before`], counting only operations on the store's logs but their
    /// deletion: as long as no write buffer fills up they come in the same order, whatever RocksDB's
    /// own threads do.
    pub fn cut_before_log(&self, operation: u64) {
        // SAFETY: the supply lives.
        unsafe { ffi::comity_power_cut_before_log(self.supply, operation) }
    }

    /// Whether the power is out.
    pub fn is_out(&self) -> bool {
        // SAFETY: the supply lives.
        unsafe { ffi::comity_power_is_out(self.supply) }
    }

    /// Waits until nobody has the store in `dir` open: threads of a node may outlive it a little.
    pub fn await_closed(&self, dir: &Path) {
        let dir = c_path(dir);
        eventually("the store is closed", PATIENCE, || {
            // SAFETY: the supply and the path live.
            unsafe { ffi::comity_power_is_closed(self.supply, dir.as_ptr()) }.then_some(())
        });
    }

    /// Brings the power back, once the store in `dir` is closed. What was not synced is lost, all
    /// of it or, as the dice say, but for beginnings of it and for files whose directory was not
    /// synced: a disk may have come to write more than it was told to.
    pub fn restore(&self, dir: &Path, dice: &mut Dice) -> Cut {
        let mut cut = Cut {
            moment: self.moment(),
            lost: 0,
            kept: 0,
        };
        self.await_closed(dir);
        let path = c_path(dir);
        let (seed, tails, files) = (dice.roll(), dice.below(2) == 0, dice.below(2) == 0);
        let mut error = [0; TEXT];
        // SAFETY: the supply lives, and so do the path and what is written to; the error's length
        // is its buffer's.
        let done = unsafe {
            ffi::comity_power_restore(
                self.supply,
                path.as_ptr(),
                seed,
                tails,
                files,
                &mut cut.lost,
                &mut cut.kept,
                error.as_mut_ptr(),
                error.len(),
            )
        };
        assert!(done, "{}: {}", dir.display(), text(&error));
        cut
    }

    fn moment(&self) -> String {
        let mut moment = [0; TEXT];
        // SAFETY: the supply lives; the length is the buffer's.
        unsafe { ffi::comity_power_moment(self.supply, moment.as_mut_ptr(), moment.len()) }
        text(&moment)
    }
}

impl Default for PowerSupply {
    fn default() -> PowerSupply {
        PowerSupply::new()
    }
}

impl Drop for PowerSupply {
    fn drop(&mut self) {
        // SAFETY: nobody uses it afterwards; environments hold their file system themselves.
        unsafe { ffi::comity_power_free(self.supply) }
    }
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("a path without zero bytes")
}

fn text(buffer: &[c_char; TEXT]) -> String {
    // SAFETY: both writers end the text with a zero within the buffer.
    let text = unsafe { CStr::from_ptr(buffer.as_ptr()) };
    text.to_string_lossy().into_owned()
}

mod ffi {
    use std::ffi::c_char;

    use librocksdb_sys::rocksdb_env_t;

    #[repr(C)]
    pub struct Supply {
        _opaque: [u8; 0],
    }

    unsafe extern "C" {
        pub fn comity_power_new() -> *mut Supply;
        pub fn comity_power_env(power: *mut Supply) -> *mut rocksdb_env_t;
        pub fn comity_power_cut_before(power: *mut Supply, operation: u64);
        pub fn comity_power_cut_before_log(power: *mut Supply, operation: u64);
        pub fn comity_power_is_out(power: *mut Supply) -> bool;
        pub fn comity_power_is_closed(power: *mut Supply, directory: *const c_char) -> bool;
        pub fn comity_power_moment(power: *mut Supply, text: *mut c_char, len: usize);
        pub fn comity_power_restore(
            power: *mut Supply,
            directory: *const c_char,
            seed: u64,
            tails: bool,
            files: bool,
            lost: *mut u64,
            kept: *mut u64,
            error: *mut c_char,
            error_len: usize,
        ) -> bool;
        pub fn comity_power_free(power: *mut Supply);
    }
}
