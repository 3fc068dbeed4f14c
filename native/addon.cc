// The addon: file descriptors, bytes and errno. The meaning of messages is left to TypeScript.
#include <errno.h>
#include <linux/netlink.h>
#include <napi.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arguments.h"
#include "environment.h"
#include "interrupted.h"
#include "namespace.h"
#include "receive_buffers.h"
#include "socket.h"

namespace {

// arena(): the ArrayBuffer that the sockets of this thread receive into.
Napi::Value GetArena(const Napi::CallbackInfo& info) {
  return Environment::Of(info.Env())->arena.Value(info.Env());
}

// openFile(netns, path): a descriptor for reading, opened inside that network namespace, or a
// failure.
Napi::Value OpenFileInNamespace(const Napi::CallbackInfo& info) {
  int32_t netns;
  Path path;
  if (!ReadInt32(info, 0, &netns) || !ReadPath(info, 1, &path)) return {};
  const Outcome outcome = OpenFileIn(netns, path.text);
  if (outcome.result >= 0) Environment::Of(info.Env())->AddFile(outcome.result);
  return ValueOf(info.Env(), outcome);
}

// makeNamespace(): the descriptor of a new network namespace, or a failure.
Napi::Value MakeNetworkNamespace(const Napi::CallbackInfo& info) {
  const Outcome outcome = MakeNamespace();
  if (outcome.result >= 0) Environment::Of(info.Env())->AddFile(outcome.result);
  return ValueOf(info.Env(), outcome);
}

// openBound(netns, domain, type, protocol, address, given): the descriptor of a socket, or a
// failure; the address is a struct sockaddr, or empty. It is closed by closeFile or, if given, by
// its new owner.
Napi::Value OpenBound(const Napi::CallbackInfo& info) {
  int32_t netns;
  SocketKind kind;
  Bytes address;
  bool given;
  if (!ReadInt32(info, 0, &netns) || !ReadInt32(info, 1, &kind.domain) ||
      !ReadInt32(info, 2, &kind.type) || !ReadInt32(info, 3, &kind.protocol) ||
      !ReadBytes(info, 4, &address) || !ReadBoolean(info, 5, &given)) {
    return {};
  }
  const auto* at = reinterpret_cast<const sockaddr*>(address.data);
  const Outcome outcome = OpenBoundIn(netns, kind, at, static_cast<socklen_t>(address.length));
  if (outcome.result >= 0 && !given) Environment::Of(info.Env())->AddFile(outcome.result);
  return ValueOf(info.Env(), outcome);
}

// sendDatagram(address, bytes): sends them from a socket made for it, without waiting; 0 or a
// failure. The address is a struct sockaddr, whose family is that of the socket.
Napi::Value SendDatagram(const Napi::CallbackInfo& info) {
  Bytes address, bytes;
  if (!ReadBytes(info, 0, &address) || !ReadBytes(info, 1, &bytes)) return {};
  sockaddr_storage to = {};
  if (address.length < sizeof(to.ss_family) || address.length > sizeof(to)) {
    return ValueOf(info.Env(), {-EINVAL, "sendto"});
  }
  memcpy(&to, address.data, address.length);
  const int file = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (file < 0) return ValueOf(info.Env(), {-errno, "socket"});
  const ssize_t sent = Uninterrupted([&] {
    return sendto(file, bytes.data, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL,
                  reinterpret_cast<const sockaddr*>(&to), static_cast<socklen_t>(address.length));
  });
  const int failed = sent < 0 ? -errno : 0;
  close(file);
  return ValueOf(info.Env(), {failed, "sendto"});
}

// closeFile(file): closes what openFile, makeNamespace or openBound opened.
Napi::Value CloseFile(const Napi::CallbackInfo& info) {
  int32_t file;
  if (ReadInt32(info, 0, &file)) Environment::Of(info.Env())->CloseFile(file);
  return {};
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  Environment::Attach(env);
  if (env.IsExceptionPending()) return exports;
  exports["Socket"] = Socket::Define(env);
  exports["arena"] = Napi::Function::New<GetArena>(env, "arena");
  exports["openFile"] = Napi::Function::New<OpenFileInNamespace>(env, "openFile");
  exports["makeNamespace"] = Napi::Function::New<MakeNetworkNamespace>(env, "makeNamespace");
  exports["openBound"] = Napi::Function::New<OpenBound>(env, "openBound");
  exports["sendDatagram"] = Napi::Function::New<SendDatagram>(env, "sendDatagram");
  exports["closeFile"] = Napi::Function::New<CloseFile>(env, "closeFile");
  exports["arenaBytes"] = Napi::Number::New(env, static_cast<double>(Arena::EntriesAt()));
  exports["batch"] = Napi::Number::New(env, kBatch);

  // From the headers, because SOL_SOCKET differs between architectures.
  Napi::Object constants = Napi::Object::New(env);
#define CONSTANT(name) constants[#name] = Napi::Number::New(env, name)
  CONSTANT(SOL_SOCKET);
  CONSTANT(SO_RCVBUF);
  CONSTANT(SO_RCVBUFFORCE);
  CONSTANT(SO_SNDBUF);
  CONSTANT(SO_SNDBUFFORCE);
  CONSTANT(SO_DETACH_FILTER);
  CONSTANT(SO_MEMINFO);
  CONSTANT(SOL_NETLINK);
  CONSTANT(NETLINK_ADD_MEMBERSHIP);
  CONSTANT(NETLINK_DROP_MEMBERSHIP);
  CONSTANT(NETLINK_PKTINFO);
  CONSTANT(NETLINK_BROADCAST_ERROR);
  CONSTANT(NETLINK_NO_ENOBUFS);
  CONSTANT(NETLINK_LISTEN_ALL_NSID);
  CONSTANT(NETLINK_LIST_MEMBERSHIPS);
  CONSTANT(NETLINK_CAP_ACK);
  CONSTANT(NETLINK_EXT_ACK);
  CONSTANT(NETLINK_GET_STRICT_CHK);
#undef CONSTANT
  exports["constants"] = constants;
  // Units per second of the times in /proc/PID/stat.
  exports["clockTicks"] = Napi::Number::New(env, static_cast<double>(sysconf(_SC_CLK_TCK)));
  return exports;
}

}  // namespace

NODE_API_MODULE(netlink, Init)
