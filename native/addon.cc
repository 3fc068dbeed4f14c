// The addon: file descriptors, bytes and errno. What a message means is TypeScript's business.
#include <linux/netlink.h>
#include <napi.h>
#include <sys/socket.h>

#include "environment.h"
#include "receive_buffers.h"
#include "socket.h"

namespace {

// arena(): the ArrayBuffer the sockets of this thread receive into.
Napi::Value GetArena(const Napi::CallbackInfo& info) {
  return Environment::Of(info.Env())->arena.Value(info.Env());
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  Environment::Attach(env);
  if (env.IsExceptionPending()) return exports;
  exports["Socket"] = Socket::Define(env);
  exports["arena"] = Napi::Function::New<GetArena>(env, "arena");
  exports["arenaBytes"] = Napi::Number::New(env, kArenaBytes);
  exports["batch"] = Napi::Number::New(env, kBatch);

  // From the headers, because the numbers of SOL_SOCKET differ between architectures.
  Napi::Object constants = Napi::Object::New(env);
#define CONSTANT(name) constants[#name] = Napi::Number::New(env, name)
  CONSTANT(SOL_SOCKET);
  CONSTANT(SO_RCVBUF);
  CONSTANT(SO_RCVBUFFORCE);
  CONSTANT(SO_MEMINFO);
  CONSTANT(NETLINK_NO_ENOBUFS);
  CONSTANT(SOL_NETLINK);
  CONSTANT(NETLINK_ADD_MEMBERSHIP);
  CONSTANT(NETLINK_DROP_MEMBERSHIP);
  CONSTANT(NETLINK_BROADCAST_ERROR);
  CONSTANT(NETLINK_CAP_ACK);
  CONSTANT(NETLINK_EXT_ACK);
  CONSTANT(NETLINK_GET_STRICT_CHK);
#undef CONSTANT
  exports["constants"] = constants;
  return exports;
}

}  // namespace

NODE_API_MODULE(netlink, Init)
