#include "ring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

namespace {

// What stays resident while nothing waits: a multiple of any page's size.
constexpr size_t kResident = Ring::kLeast;

}  // namespace

Ring::~Ring() {
  if (memory_ == nullptr) return;
  explicit_bzero(memory_, used_);
  munmap(memory_, size_);
}

int Ring::Allocate(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return -errno;
  memory_ = static_cast<uint8_t*>(memory);
  size_ = bytes;
  // As in ReceiveBuffers::Allocate.
  madvise(memory_, bytes, MADV_DONTDUMP);
  madvise(memory_, bytes, MADV_WIPEONFORK);
  return 0;
}

bool Ring::Add(const Entry& entry, const uint8_t* bytes) { return Write(entry, bytes, 0); }

bool Ring::Write(const Entry& entry, const uint8_t* bytes, int error) {
  const size_t size = (sizeof(Record) + entry.length + kAlignment - 1) & ~(kAlignment - 1);
  // In the order of what the threads tell each other about room (ReadAhead::UntilAdded).
  State state = state_.load(std::memory_order_seq_cst);
  if (state.taken == end_ && state_.compare_exchange_strong(state, {0, 0})) {
    state = {0, 0};
    end_ = 0;
  }
  size_t at = end_;
  if (at < state.taken) {
    if (at + size >= state.taken) return false;
  } else if (at + size + sizeof(Record) > size_) {
    if (size >= state.taken) return false;
    At(at)->size = 0;
    at = 0;
  }
  Record* record = At(at);
  record->size = static_cast<uint32_t>(size);
  record->error = error;
  record->entry = entry;
  if (entry.length != 0) memcpy(record + 1, bytes, entry.length);
  end_ = static_cast<uint32_t>(at + size);
  if (end_ > used_) used_ = end_;
  return true;
}

void Ring::Publish() {
  State state = state_.load(std::memory_order_relaxed);
  while (!state_.compare_exchange_weak(state, {end_, state.taken})) {
  }
}

void Ring::Trim() {
  if (used_ <= kResident || state_.load(std::memory_order_acquire).taken != end_) return;
  madvise(memory_ + kResident, size_ - kResident, MADV_DONTNEED);
  used_ = kResident;
}

void Ring::Begin() {
  const State state = state_.load(std::memory_order_acquire);
  start_ = state.taken;
  stop_ = state.added;
  took_ = false;
}

void Ring::Take(Entry* entry, uint8_t* bytes) {
  Record* record = Next();
  const uint32_t offset = entry->offset;
  *entry = record->entry;
  entry->offset = offset;
  memcpy(bytes, record + 1, entry->length);
  explicit_bzero(record + 1, entry->length);
  Pass(record);
}

void Ring::Release() {
  // The other thread may have begun anew.
  if (!took_) return;
  State state = state_.load(std::memory_order_relaxed);
  while (!state_.compare_exchange_weak(state, {state.added, start_})) {
  }
}

size_t Ring::Used() const {
  const auto [added, taken] = state_.load(std::memory_order_seq_cst);
  return added >= taken ? added - taken : size_ - taken + added;
}
