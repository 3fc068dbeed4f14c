// A queue of datagrams in memory, from one thread to another. Knows neither sockets nor JavaScript.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "receive_buffers.h"

// Datagrams, and errors between them, in order. One thread adds, another takes; neither waits.
// What was taken is wiped: a datagram can hold IPsec keys in the clear. Excluded from core dumps
// and from forked processes, as the slots are.
class Ring {
 public:
  // The size is a multiple of kLeast, which has room for the longest datagram wherever the last one
  // ended, up to kMost.
  static constexpr size_t kLeast = 256 * 1024;
  static constexpr size_t kMost = size_t{1} << 30;

  Ring() = default;
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // Returns 0, or -errno of mmap.
  int Allocate(size_t bytes);

  // For the thread that adds. The first two return false if there is no room.
  bool Add(const Entry& entry, const uint8_t* bytes);  // entry.offset has no meaning here
  bool AddError(int error) { return Write({}, nullptr, error); }
  // Lets the other thread take what was added.
  void Publish();
  // Gives back memory that a long queue needed, if everything was taken.
  void Trim();

  // For the thread that takes: what was published before Begin, until Release.
  void Begin();
  bool HasNext() const { return start_ != stop_; }
  // The next is an error, or 0: a datagram.
  int NextError() const { return Next()->error; }
  // Copies the next datagram to `bytes`, except for the entry's offset, and wipes it.
  void Take(Entry* entry, uint8_t* bytes);
  void TakeError() { Pass(Next()); }
  void Release();

  // For both: bytes that were published and not released; 0 if there are none.
  size_t Used() const;
  size_t size() const { return size_; }

 private:
  // What precedes a datagram. Size 0: the next record is at the start of the memory.
  struct Record {
    uint32_t size;  // of this and the datagram, aligned
    int32_t error;
    Entry entry;
  };
  // Offsets: from `taken` to `added` is for the thread that takes; nothing if they are equal. In
  // one word, so that the thread that adds can begin anew at 0 when everything was taken: memory
  // that was used a moment ago is in the cache, and little of it is used.
  struct State {
    uint32_t added, taken;
  };

  bool Write(const Entry& entry, const uint8_t* bytes, int error);
  Record* At(size_t offset) const { return reinterpret_cast<Record*>(memory_ + offset); }
  Record* Next() const { return At(At(start_)->size == 0 ? 0 : start_); }
  void Pass(const Record* record) {
    const auto* at = reinterpret_cast<const uint8_t*>(record);
    start_ = static_cast<uint32_t>(at - memory_) + record->size;
    took_ = true;
  }

  uint8_t* memory_ = nullptr;
  size_t size_ = 0;
  // Of the thread that adds. A record's header fits at the end.
  uint32_t end_ = 0;
  uint32_t used_ = 0;  // no memory beyond was written since the last Trim
  // Of the thread that takes.
  uint32_t start_ = 0;
  uint32_t stop_ = 0;
  bool took_ = false;
  std::atomic<State> state_{State{0, 0}};
};
