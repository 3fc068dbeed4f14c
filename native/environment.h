// What the sockets of one Node environment (the main thread, or one worker) share.
#pragma once

#include <napi.h>
#include <uv.h>

#include <unordered_set>

#include "receive_buffers.h"

class Descriptor;

// The ArrayBuffer JavaScript reads datagrams from: EntriesAt() bytes, in which they begin at the
// first whole page, then kBatch entries. The pages with datagrams are kept out of core dumps.
class Arena {
 public:
  static size_t EntriesAt();

  // Where the memory is. Asked for afresh before every use, because JavaScript can detach an
  // ArrayBuffer (ArrayBuffer.prototype.transfer) and then owns that memory; a new one takes its
  // place. nullptr if there is none to be had.
  uint8_t* Ensure(Napi::Env env);
  // Where the datagrams begin in memory that Ensure gave.
  static size_t First(const uint8_t* data);
  // Overwrites the datagrams, which end at `used`, unless JavaScript has taken the memory away.
  void Wipe(Napi::Env env, size_t used);
  Napi::Value Value(Napi::Env env);

 private:
  uint8_t* Data(Napi::Env env);
  Napi::Reference<Napi::ArrayBuffer> buffer_;
};

class Environment {
 public:
  ~Environment();

  // Creates the environment's own, kept as the addon's instance data.
  static void Attach(Napi::Env env);
  static Environment* Of(Napi::Env env) { return env.GetInstanceData<Environment>(); }

  uv_loop_t* loop() const { return loop_; }
  // Node is taking the environment down: no JavaScript may be called any more.
  bool ending() const { return hook_running_; }

  // Open descriptors must be closed before the loop can end: libuv aborts otherwise.
  void Add(Descriptor* descriptor) { open_.insert(descriptor); }
  void Remove(Descriptor* descriptor);

  // Files that were opened here: a worker that is terminated closes none in JavaScript.
  void AddFile(int file) { files_.insert(file); }
  void CloseFile(int file);

  ReceiveBuffers buffers;
  Arena arena;

 private:
  static void OnCleanup(napi_async_cleanup_hook_handle handle, void* data);

  uv_loop_t* loop_ = nullptr;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  bool hook_running_ = false;
  std::unordered_set<Descriptor*> open_;
  std::unordered_set<int> files_;
};
