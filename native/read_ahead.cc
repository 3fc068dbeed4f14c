#include "read_ahead.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <initializer_list>

#include "interrupted.h"

namespace {

// While more is waiting, the loop is woken for at least so many bytes, or after so many full
// batches, which may have been refused: it sleeps again after each, and waking it took an eighth
// of the time of the command that prints events.
constexpr size_t kWorthWaking = Ring::kLeast;
constexpr unsigned kMostUnannounced = 16;

void Signal(int eventfd) {
  const uint64_t one = 1;
  // It fails only if the number is near 2^64.
  (void)!Uninterrupted([&] { return write(eventfd, &one, sizeof(one)); });
}

void Clear(int eventfd) {
  uint64_t count;
  // It fails if there was no signal.
  (void)!Uninterrupted([&] { return read(eventfd, &count, sizeof(count)); });
}

}  // namespace

ReadAhead::~ReadAhead() {
  Stop();
  for (int file : {wake_, command_}) {
    if (file >= 0) close(file);
  }
}

Outcome ReadAhead::Allocate(size_t bytes) {
  int status = buffers_.Allocate();
  if (status == 0) status = ring_.Allocate(bytes);
  if (status != 0) return {status, "mmap"};
  for (int* file : {&wake_, &command_}) {
    *file = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (*file < 0) return {-errno, "eventfd"};
  }
  return {0, ""};
}

int ReadAhead::Start(int fd, bool kernel_only) {
  if (running_) return 0;
  fd_ = fd;
  kernel_only_ = kernel_only;
  // The thread inherits the mask: signals are for Node's threads. (On Linux sigprocmask is for the
  // calling thread; glibc's pthread_sigmask has a version that older ones lack.)
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  const int status = uv_thread_create(
      &thread_, [](void* self) { static_cast<ReadAhead*>(self)->Run(); }, this);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  running_ = status == 0;
  return status;
}

void ReadAhead::Stop() {
  if (!running_) return;
  ends_.store(true, std::memory_order_seq_cst);
  Signal(command_);
  uv_thread_join(&thread_);
  running_ = false;
}

void ReadAhead::Rest(int milliseconds) {
  rest_.store(milliseconds, std::memory_order_seq_cst);
  if (rests_.exchange(false, std::memory_order_seq_cst)) Signal(command_);
}

void ReadAhead::Run() {
  prctl(PR_SET_NAME, "netlink-read");
  for (unsigned full = 0; !ends_.load(std::memory_order_relaxed);) {
    reading_.store(true, std::memory_order_seq_cst);
    rests_.store(true, std::memory_order_seq_cst);
    const int received = buffers_.Receive(fd_, kBatch, control_.load(std::memory_order_relaxed));
    const bool goes_on = Fill(received);
    const bool is_full = goes_on && received == static_cast<int>(kBatch);
    full = is_full ? full + 1 : 0;
    ring_.Publish();
    if (full % kMostUnannounced == 0 || ring_.Used() >= std::min(kWorthWaking, ring_.size() / 2)) {
      Wake();
    }
    reading_.store(false, std::memory_order_seq_cst);
    if (!goes_on) return;
    // Otherwise there is more.
    if (received == -EAGAIN || (received >= 0 && !is_full)) {
      ring_.Trim();
      if (received > 0) TakeRest();
      Wait(fd_, POLLIN, -1);
    }
  }
}

void ReadAhead::TakeRest() {
  const int rest = rest_.load(std::memory_order_seq_cst);
  // A loss, which poll always reports, ends it: the kernel drops events until all is read.
  if (rest > 0 && rests_.load(std::memory_order_seq_cst)) Wait(fd_, 0, rest);
}

bool ReadAhead::Fill(int received) {
  if (received == -EAGAIN) return true;
  if (received < 0) {
    return UntilAdded([&] { return ring_.AddError(-received); }) && MeansLoss(-received);
  }
  for (int i = 0; i < received; i++) {
    Entry entry;
    if (!buffers_.Describe(i, kernel_only_, &entry)) {
      rejected_.fetch_add(1, std::memory_order_relaxed);
    } else if (!UntilAdded([&] { return ring_.Add(entry, buffers_.slot(i)); })) {
      for (; i < received; i++) buffers_.Wipe(i);
      return false;
    }
    buffers_.Wipe(i);
  }
  return true;
}

template <typename Add>
bool ReadAhead::UntilAdded(Add add) {
  while (!add()) {
    if (ends_.load(std::memory_order_relaxed)) return false;
    ring_.Publish();
    Wake();
    full_.store(true, std::memory_order_seq_cst);
    // Room may have been made before the loop could see that.
    if (add()) return true;
    Wait(-1, 0, -1);
  }
  return true;
}

void ReadAhead::Wake() {
  if (ring_.Used() != 0 && sleeps_.exchange(false, std::memory_order_seq_cst)) Signal(wake_);
}

void ReadAhead::Wait(int fd, short events, int timeout) {
  // Waiting for room may have taken the signal of Stop, and then there was room.
  if (ends_.load(std::memory_order_seq_cst)) return;
  pollfd files[] = {{command_, POLLIN, 0}, {fd, events, 0}};
  Uninterrupted([&] { return poll(files, 2, timeout); });
  if (files[0].revents != 0) Clear(command_);
}

uint32_t ReadAhead::Take(uint32_t most, uint8_t* arena, size_t first, Entry* entries,
                         Packed* packed, int* lost, int* failed) {
  uint32_t losses = 0;
  packed->used = first;
  packed->rejected = TakeRejected();
  ring_.Begin();
  while (packed->count < most && *failed == 0 && ring_.HasNext()) {
    const int error = ring_.NextError();
    if (error == 0) {
      Entry& entry = entries[packed->count++];
      entry.offset = static_cast<uint32_t>(packed->used);
      ring_.Take(&entry, arena + packed->used);
      packed->used += (entry.length + kAlignment - 1) & ~(kAlignment - 1);
      continue;
    }
    // Datagrams before a loss are delivered before it.
    if (packed->count > 0) break;
    ring_.TakeError();
    if (MeansLoss(error)) {
      losses++;
      if (*lost == 0) *lost = error;
    } else {
      *failed = error;
    }
  }
  ring_.Release();
  if (full_.load(std::memory_order_seq_cst) && ring_.Used() <= ring_.size() / 2 &&
      full_.exchange(false, std::memory_order_seq_cst)) {
    Signal(command_);
  }
  if (ring_.Used() == 0) {
    Clear(wake_);
    sleeps_.store(true, std::memory_order_seq_cst);
    // Something may have been added before the thread could see that.
    if (ring_.Used() != 0 && sleeps_.exchange(false, std::memory_order_seq_cst)) Signal(wake_);
  }
  return losses;
}

size_t ReadAhead::Waiting() const {
  // In this order: what is being read is in the ring afterwards.
  const bool reading = reading_.load(std::memory_order_seq_cst);
  const size_t used = ring_.Used();
  return used != 0 ? used : reading ? 1 : 0;
}
