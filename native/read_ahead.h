// A thread that reads a socket ahead of the event loop, into memory of its own: while the loop is
// busy, the socket's receive buffer does not fill up.
#pragma once

#include <uv.h>

#include <atomic>

#include "namespace.h"
#include "receive_buffers.h"
#include "ring.h"

// Owned by the loop's thread, on which all functions are called. When the ring is full, the thread
// stops reading until half of it is free: so the memory is bounded, and what is lost then, the
// kernel reports as always.
class ReadAhead {
 public:
  ReadAhead() = default;
  // Ends the thread, and wipes what nobody took.
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  Outcome Allocate(size_t bytes);
  // Starts the thread, unless it runs. The descriptor must stay open until Stop. Returns 0 or
  // -errno.
  int Start(int fd, bool kernel_only);
  void Stop();
  void ReadControl() { control_.store(true, std::memory_order_relaxed); }
  // Milliseconds for which the thread rests after it read all, while the kernel queues more. Ends a
  // rest.
  void Rest(int milliseconds);

  // Readable when something is to be taken.
  int readable() const { return wake_; }
  // Takes at most `most` datagrams, as ReceiveBuffers does with Receive and Pack. `lost` is the
  // errno of losses before them, and `failed` the one that ended reading; otherwise they stay as
  // they are. Returns the number of losses.
  uint32_t Take(uint32_t most, uint8_t* arena, size_t first, Entry* entries, Packed* packed,
                int* lost, int* failed);
  // Datagrams refused since the last call, because of where they came from.
  uint32_t TakeRejected() { return rejected_.exchange(0, std::memory_order_relaxed); }
  // Bytes that were read from the socket and not taken; not 0 while the thread reads. Nothing waits
  // only if the socket's queue was empty before this returned 0.
  size_t Waiting() const;

 private:
  void Run();
  // Adds what one system call gave. Returns false if the thread is to end.
  bool Fill(int received);
  template <typename Add>
  bool UntilAdded(Add add);
  // Wakes the loop, if it sleeps and something can be taken.
  void Wake();
  void TakeRest();
  // Until another thread signals, the descriptor (-1: none) has an event, or a time is over, in
  // milliseconds (-1: never).
  void Wait(int fd, short events, int timeout);

  ReceiveBuffers buffers_;
  Ring ring_;
  uv_thread_t thread_;
  bool running_ = false;
  int fd_ = -1;
  bool kernel_only_ = true;
  int wake_ = -1;     // eventfd: the loop has something to take
  int command_ = -1;  // eventfd: the thread has room again, or is to end
  std::atomic<bool> control_{false};
  std::atomic<int> rest_{0};
  std::atomic<bool> rests_{false};  // after what is being read, the thread may rest
  std::atomic<bool> ends_{false};
  std::atomic<bool> reading_{false};  // from a system call to the publication of what it gave
  std::atomic<bool> sleeps_{true};    // the loop waits for `wake_`
  std::atomic<bool> full_{false};     // the thread waits for room
  std::atomic<uint32_t> rejected_{0};
};
