// What the sockets of one Node environment (the main thread or a worker) share.
#pragma once

#include <napi.h>
#include <uv.h>

#include <unordered_set>

#include "receive_buffers.h"

class Descriptor;

// The ArrayBuffer JavaScript reads datagrams from: EntriesAt() bytes, in which datagrams begin at
// the first whole page, then kBatch entries. The pages with datagrams are excluded from core dumps.
class Arena {
 public:
  static size_t EntriesAt();

  // The address of the memory. Call it before every use, because JavaScript can detach an
  // ArrayBuffer (ArrayBuffer.prototype.transfer) and then owns that memory; a new one replaces it.
  // nullptr if allocation fails.
  uint8_t* Ensure(Napi::Env env);
  // Where datagrams begin in memory returned by Ensure.
  static size_t First(const uint8_t* data);
  // Overwrites the datagrams, which end at `used`, unless JavaScript has detached the memory.
  void Wipe(Napi::Env env, size_t used);
  Napi::Value Value(Napi::Env env);

 private:
  uint8_t* Data(Napi::Env env);
  Napi::Reference<Napi::ArrayBuffer> buffer_;
};

class Environment {
 public:
  ~Environment();

  // Creates the environment's instance, stored as the addon's instance data.
  static void Attach(Napi::Env env);
  static Environment* Of(Napi::Env env) { return env.GetInstanceData<Environment>(); }

  uv_loop_t* loop() const { return loop_; }
  // Node is tearing down the environment: JavaScript must not be called any more.
  bool ending() const { return hook_running_; }

  // Open descriptors must be closed before the loop ends: otherwise libuv aborts.
  void Add(Descriptor* descriptor) { open_.insert(descriptor); }
  void Remove(Descriptor* descriptor);

  // Files opened here, because a terminated worker closes none in JavaScript.
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
