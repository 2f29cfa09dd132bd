// A file system that can lose power: RocksDB's FaultInjectionTestFS, which keeps what is not synced
// to itself, and a count of operations after which the power is cut. src/power/mod.rs is its face.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "env/composite_env_wrapper.h"
#include "rocksdb/env.h"
#include "rocksdb/file_system.h"
#include "rocksdb/system_clock.h"
#include "util/random.h"
#include "utilities/fault_injection_fs.h"

using namespace ROCKSDB_NAMESPACE;

// RocksDB's C interface keeps this to itself; rocksdb_env_destroy deletes both.
struct rocksdb_env_t {
  Env* rep;
  bool is_default;
};

namespace {

// What reaches the files beneath counts as durable. So they need not be synced, which would take
// most of a test's time.
class DurableFile : public FSWritableFileOwnerWrapper {
 public:
  using FSWritableFileOwnerWrapper::FSWritableFileOwnerWrapper;

  IOStatus Sync(const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }
  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }
  IOStatus RangeSync(uint64_t, uint64_t, const IOOptions&,
                     IODebugContext*) override {
    return IOStatus::OK();
  }
};

class DurableDirectory : public FSDirectoryWrapper {
 public:
  using FSDirectoryWrapper::FSDirectoryWrapper;

  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }
  IOStatus FsyncWithDirOptions(const IOOptions&, IODebugContext*,
                               const DirFsyncOptions&) override {
    return IOStatus::OK();
  }
};

class DurableFileSystem : public FileSystemWrapper {
 public:
  using FileSystemWrapper::FileSystemWrapper;

  const char* Name() const override { return "DurableFileSystem"; }

  IOStatus NewWritableFile(const std::string& name, const FileOptions& options,
                           std::unique_ptr<FSWritableFile>* file,
                           IODebugContext* debug) override {
    return Wrapped(target()->NewWritableFile(name, options, file, debug), file);
  }
  IOStatus ReopenWritableFile(const std::string& name,
                              const FileOptions& options,
                              std::unique_ptr<FSWritableFile>* file,
                              IODebugContext* debug) override {
    return Wrapped(target()->ReopenWritableFile(name, options, file, debug),
                   file);
  }
  IOStatus NewDirectory(const std::string& name, const IOOptions& options,
                        std::unique_ptr<FSDirectory>* directory,
                        IODebugContext* debug) override {
    IOStatus opened = target()->NewDirectory(name, options, directory, debug);
    if (opened.ok()) {
      *directory = std::make_unique<DurableDirectory>(std::move(*directory));
    }
    return opened;
  }

 private:
  static IOStatus Wrapped(IOStatus opened,
                          std::unique_ptr<FSWritableFile>* file) {
    if (opened.ok()) {
      *file = std::make_unique<DurableFile>(std::move(*file));
    }
    return opened;
  }
};

// RocksDB sleeps for a second before it retries what failed in the background, and closing waits for
// that. Nothing that failed for want of power is worth the wait.
class RestlessClock : public SystemClockWrapper {
 public:
  using SystemClockWrapper::SystemClockWrapper;

  const char* Name() const override { return "RestlessClock"; }

  void SleepForMicroseconds(int) override { std::this_thread::yield(); }
};

class PowerSupply;

// Counts what the store does to a file.
class MeteredFile : public FSWritableFileOwnerWrapper {
 public:
  MeteredFile(std::unique_ptr<FSWritableFile>&& file, std::string name,
              PowerSupply* power)
      : FSWritableFileOwnerWrapper(std::move(file)),
        name_(std::move(name)),
        power_(power) {}

  IOStatus Append(const Slice& data, const IOOptions& options,
                  IODebugContext* debug) override;
  IOStatus Append(const Slice& data, const IOOptions& options,
                  const DataVerificationInfo& verification,
                  IODebugContext* debug) override;
  IOStatus Truncate(uint64_t size, const IOOptions& options,
                    IODebugContext* debug) override;
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override;
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override;
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override;

 private:
  const std::string name_;
  PowerSupply* const power_;
};

class MeteredDirectory : public FSDirectoryWrapper {
 public:
  MeteredDirectory(std::unique_ptr<FSDirectory>&& directory, std::string name,
                   PowerSupply* power)
      : FSDirectoryWrapper(std::move(directory)),
        name_(std::move(name)),
        power_(power) {}

  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override;
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* debug,
                               const DirFsyncOptions& how) override;

 private:
  const std::string name_;
  PowerSupply* const power_;
};

class PowerSupply : public FaultInjectionTestFS {
 public:
  explicit PowerSupply(const std::shared_ptr<FileSystem>& beneath)
      : FaultInjectionTestFS(beneath) {
    SetInjectUnsyncedDataLoss(true);
  }

  // Cuts the power before the operation of that number from now, from 1; never for 0.
  void CutBefore(uint64_t operation) {
    std::lock_guard<std::mutex> lock(meter_);
    left_ = operation;
    logs_only_ = false;
  }

  // The same, but only operations on the store's logs count, and not their deletion: those are
  // done by whoever opens and writes, as long as no write buffer fills up, and not by RocksDB's own
  // threads. So their order is always the same.
  void CutBeforeLog(uint64_t operation) {
    std::lock_guard<std::mutex> lock(meter_);
    left_ = operation;
    logs_only_ = true;
  }

  // Takes note of an operation that is about to be done.
  void Meter(const char* operation, const std::string& name) {
    std::lock_guard<std::mutex> lock(meter_);
    const bool deletes = std::strcmp(operation, "delete") == 0;
    if (logs_only_ && (!IsLog(name) || deletes)) {
      return;
    }
    if (left_ == 0 || --left_ > 0) {
      return;
    }
    moment_ = std::string(operation) + " " + name.substr(name.rfind('/') + 1);
    SetFilesystemActive(false, IOStatus::IOError("the power is out"));
  }

  std::string Moment() {
    std::lock_guard<std::mutex> lock(meter_);
    return moment_;
  }

  // Whether nobody has the store in the directory open.
  bool IsClosed(const std::string& directory) {
    FileLock* lock = nullptr;
    return target()
               ->LockFile(directory + "/LOCK", IOOptions(), &lock, nullptr)
               .ok() &&
           target()->UnlockFile(lock, IOOptions(), nullptr).ok();
  }

  // Loses what was not synced, but for the start of each file's unsynced data, up to a random
  // place, where `tails` says so, and but for files whose directory was not synced, where `files`
  // says so.
  IOStatus Restore(const std::string& directory, uint64_t seed, bool tails,
                   bool files, uint64_t* lost, uint64_t* kept) {
    SetFilesystemActive(true);
    std::vector<std::string> names;
    IOStatus done = target()->GetChildren(directory, IOOptions(), &names, nullptr);
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      if (done.ok()) {
        // Of its own for each kind: what others have unsynced must not change what becomes of it.
        Random64 random(seed ^ (IsLog(name) ? 0 : name.size() + 1));
        done = Tear(directory + "/" + name, tails ? &random : nullptr, lost, kept);
      }
    }
    if (done.ok() && !files) {
      done = DeleteFilesCreatedAfterLastDirSync(IOOptions(), nullptr);
    }
    ResetState();
    return done;
  }

  IOStatus NewWritableFile(const std::string& name, const FileOptions& options,
                           std::unique_ptr<FSWritableFile>* file,
                           IODebugContext* debug) override {
    Meter("create", name);
    return Metered(
        FaultInjectionTestFS::NewWritableFile(name, options, file, debug), name,
        file);
  }
  IOStatus ReopenWritableFile(const std::string& name,
                              const FileOptions& options,
                              std::unique_ptr<FSWritableFile>* file,
                              IODebugContext* debug) override {
    Meter("reopen", name);
    return Metered(
        FaultInjectionTestFS::ReopenWritableFile(name, options, file, debug),
        name, file);
  }
  IOStatus NewDirectory(const std::string& name, const IOOptions& options,
                        std::unique_ptr<FSDirectory>* directory,
                        IODebugContext* debug) override {
    IOStatus opened =
        FaultInjectionTestFS::NewDirectory(name, options, directory, debug);
    if (opened.ok()) {
      *directory =
          std::make_unique<MeteredDirectory>(std::move(*directory), name, this);
    }
    return opened;
  }
  IOStatus RenameFile(const std::string& from, const std::string& to,
                      const IOOptions& options,
                      IODebugContext* debug) override {
    Meter("rename", to);
    return FaultInjectionTestFS::RenameFile(from, to, options, debug);
  }
  IOStatus DeleteFile(const std::string& name, const IOOptions& options,
                      IODebugContext* debug) override {
    Meter("delete", name);
    return FaultInjectionTestFS::DeleteFile(name, options, debug);
  }

 private:
  IOStatus Metered(IOStatus opened, const std::string& name,
                   std::unique_ptr<FSWritableFile>* file) {
    if (opened.ok()) {
      *file = std::make_unique<MeteredFile>(std::move(*file), name, this);
    }
    return opened;
  }

  // Writes the start of a file's unsynced data beneath, up to a random place.
  IOStatus Tear(const std::string& name, Random64* random, uint64_t* lost,
                uint64_t* kept) {
    uint64_t size = 0;
    if (!GetFileSize(name, IOOptions(), &size, nullptr).ok()) {
      // A directory.
      return IOStatus::OK();
    }
    std::vector<char> scratch(size);
    Slice unsynced;
    int64_t synced = -1;
    ReadUnsynced(name, 0, size, &unsynced, scratch.data(), &synced);
    const uint64_t tail = random ? random->Uniform(unsynced.size() + 1) : 0;
    *lost += unsynced.size() - tail;
    *kept += tail;
    if (tail == 0) {
      return IOStatus::OK();
    }
    std::unique_ptr<FSWritableFile> file;
    IOStatus done =
        target()->ReopenWritableFile(name, FileOptions(), &file, nullptr);
    if (done.ok()) {
      done = file->Append(Slice(unsynced.data(), tail), IOOptions(), nullptr);
    }
    if (done.ok()) {
      done = file->Close(IOOptions(), nullptr);
    }
    return done;
  }

  static bool IsLog(const std::string& name) {
    return name.size() > 4 && name.compare(name.size() - 4, 4, ".log") == 0;
  }

  std::mutex meter_;
  uint64_t left_ = 0;
  bool logs_only_ = false;
  std::string moment_;
};

IOStatus MeteredFile::Append(const Slice& data, const IOOptions& options,
                             IODebugContext* debug) {
  power_->Meter("append to", name_);
  return target()->Append(data, options, debug);
}
IOStatus MeteredFile::Append(const Slice& data, const IOOptions& options,
                             const DataVerificationInfo& verification,
                             IODebugContext* debug) {
  power_->Meter("append to", name_);
  return target()->Append(data, options, verification, debug);
}
IOStatus MeteredFile::Truncate(uint64_t size, const IOOptions& options,
                               IODebugContext* debug) {
  power_->Meter("truncate", name_);
  return target()->Truncate(size, options, debug);
}
IOStatus MeteredFile::Close(const IOOptions& options, IODebugContext* debug) {
  power_->Meter("close", name_);
  return target()->Close(options, debug);
}
IOStatus MeteredFile::Sync(const IOOptions& options, IODebugContext* debug) {
  power_->Meter("sync", name_);
  return target()->Sync(options, debug);
}
IOStatus MeteredFile::Fsync(const IOOptions& options, IODebugContext* debug) {
  power_->Meter("sync", name_);
  return target()->Fsync(options, debug);
}

IOStatus MeteredDirectory::Fsync(const IOOptions& options,
                                 IODebugContext* debug) {
  power_->Meter("sync directory", name_);
  return FSDirectoryWrapper::Fsync(options, debug);
}
IOStatus MeteredDirectory::FsyncWithDirOptions(const IOOptions& options,
                                               IODebugContext* debug,
                                               const DirFsyncOptions& how) {
  power_->Meter("sync directory", name_);
  return FSDirectoryWrapper::FsyncWithDirOptions(options, debug, how);
}

// A text for the caller, cut to fit.
void Tell(const std::string& text, char* out, size_t len) {
  const size_t count = std::min(text.size(), len - 1);
  std::memcpy(out, text.data(), count);
  out[count] = '\0';
}

}  // namespace

// The env holds the file system too, so either may be freed first.
struct comity_power {
  std::shared_ptr<PowerSupply> supply;
};

extern "C" {

comity_power* comity_power_new() {
  auto beneath = std::make_shared<DurableFileSystem>(FileSystem::Default());
  return new comity_power{std::make_shared<PowerSupply>(beneath)};
}

rocksdb_env_t* comity_power_env(comity_power* power) {
  auto clock = std::make_shared<RestlessClock>(SystemClock::Default());
  auto* env = new CompositeEnvWrapper(Env::Default(), power->supply, clock);
  return new rocksdb_env_t{env, false};
}

void comity_power_cut_before(comity_power* power, uint64_t operation) {
  power->supply->CutBefore(operation);
}

void comity_power_cut_before_log(comity_power* power, uint64_t operation) {
  power->supply->CutBeforeLog(operation);
}

bool comity_power_is_out(comity_power* power) {
  return !power->supply->IsFilesystemActive();
}

bool comity_power_is_closed(comity_power* power, const char* directory) {
  return power->supply->IsClosed(directory);
}

void comity_power_moment(comity_power* power, char* text, size_t len) {
  Tell(power->supply->Moment(), text, len);
}

bool comity_power_restore(comity_power* power, const char* directory,
                          uint64_t seed, bool tails, bool files, uint64_t* lost,
                          uint64_t* kept, char* error, size_t error_len) {
  IOStatus done =
      power->supply->Restore(directory, seed, tails, files, lost, kept);
  Tell(done.ok() ? "" : done.ToString(), error, error_len);
  return done.ok();
}

void comity_power_free(comity_power* power) { delete power; }

}  // extern "C"
