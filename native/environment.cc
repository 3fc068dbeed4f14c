#include "environment.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "descriptor.h"

namespace {

size_t PageBytes() {
  static const auto bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

}  // namespace

size_t Arena::EntriesAt() { return PageBytes() + kArenaBytes; }

size_t Arena::First(const uint8_t* data) {
  return -reinterpret_cast<uintptr_t>(data) & (PageBytes() - 1);
}

uint8_t* Arena::Data(Napi::Env env) {
  if (buffer_.IsEmpty()) return nullptr;
  void* data = nullptr;
  size_t length = 0;
  // A detached buffer has length 0.
  if (napi_get_arraybuffer_info(env, buffer_.Value(), &data, &length) != napi_ok) return nullptr;
  return length != 0 ? static_cast<uint8_t*>(data) : nullptr;
}

uint8_t* Arena::Ensure(Napi::Env env) {
  if (uint8_t* data = Data(env)) return data;
  void* data = nullptr;
  napi_value buffer = nullptr;
  const size_t bytes = EntriesAt() + kBatch * sizeof(Entry);
  if (napi_create_arraybuffer(env, bytes, &data, &buffer) != napi_ok) return nullptr;
  buffer_ = Napi::Persistent(Napi::ArrayBuffer(env, buffer));
  auto* memory = static_cast<uint8_t*>(data);
  // The memory belongs to V8, because JavaScript may detach and keep it; our own memory would have
  // to outlive that. V8 may reuse freed memory, so unlike the slots it is not wiped on fork, only
  // excluded from core dumps. Kernels that do not support that (before 3.4) are not a reason to
  // fail.
  madvise(memory + First(memory), kArenaBytes, MADV_DONTDUMP);
  return memory;
}

void Arena::Wipe(Napi::Env env, size_t used) {
  // From the start: a listener may have caused a replacement, whose first whole page is elsewhere.
  if (uint8_t* data = Data(env)) explicit_bzero(data, used);
}

Napi::Value Arena::Value(Napi::Env env) {
  return Ensure(env) == nullptr ? env.Undefined() : Napi::Value(buffer_.Value());
}

void Environment::Attach(Napi::Env env) {
  auto* self = new Environment();
  if (napi_get_uv_event_loop(env, &self->loop_) != napi_ok ||
      napi_add_async_cleanup_hook(env, OnCleanup, self, &self->hook_) != napi_ok) {
    delete self;
    Napi::Error::New(env, "the environment gives no event loop").ThrowAsJavaScriptException();
    return;
  }
  // Freed by Node-API with the environment. The hook keeps the environment alive until it is
  // removed (src/node_api.cc, napi_async_cleanup_hook_handle__ holds a reference), so this outlives
  // every descriptor.
  env.SetInstanceData(self);
}

Environment::~Environment() {
  for (int file : files_) close(file);
}

void Environment::CloseFile(int file) {
  if (files_.erase(file) != 0) close(file);
}

void Environment::OnCleanup(napi_async_cleanup_hook_handle, void* data) {
  auto* self = static_cast<Environment*>(data);
  self->hook_running_ = true;
  // Close is asynchronous in libuv; the set shrinks in the close callbacks, which Node waits for.
  for (Descriptor* descriptor : self->open_) descriptor->Close();
  if (self->open_.empty()) napi_remove_async_cleanup_hook(self->hook_);
}

void Environment::Remove(Descriptor* descriptor) {
  open_.erase(descriptor);
  if (hook_running_ && open_.empty()) napi_remove_async_cleanup_hook(hook_);
}
