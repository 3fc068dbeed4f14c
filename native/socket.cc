#include "socket.h"

#include <errno.h>
#include <linux/filter.h>
#include <string.h>

#include <algorithm>

#include "arguments.h"
#include "environment.h"
#include "interrupted.h"
#include "namespace.h"

namespace {

Napi::Value Result(const Napi::CallbackInfo& info, ssize_t result) {
  return Napi::Number::New(info.Env(), static_cast<double>(result < 0 ? -errno : result));
}

sockaddr_nl AddressOf(uint32_t port_id, uint32_t groups) {
  sockaddr_nl address = {};
  address.nl_family = AF_NETLINK;
  address.nl_pid = port_id;
  address.nl_groups = groups;
  return address;
}

}  // namespace

Napi::Function Socket::Define(Napi::Env env) {
  return DefineClass(env, "Socket",
                     {
                         InstanceMethod<&Socket::Open>("open"),
                         InstanceMethod<&Socket::Bind>("bind"),
                         InstanceMethod<&Socket::Connect>("connect"),
                         InstanceMethod<&Socket::Disconnect>("disconnect"),
                         InstanceMethod<&Socket::Address>("address"),
                         InstanceMethod<&Socket::SetOption>("setOption"),
                         InstanceMethod<&Socket::GetOption>("getOption"),
                         InstanceMethod<&Socket::AttachFilter>("attachFilter"),
                         InstanceMethod<&Socket::ReadControl>("control"),
                         InstanceMethod<&Socket::Rest>("rest"),
                         InstanceMethod<&Socket::Send>("send"),
                         InstanceMethod<&Socket::Start>("start"),
                         InstanceMethod<&Socket::Stop>("stop"),
                         InstanceMethod<&Socket::RefLoop>("ref"),
                         InstanceMethod<&Socket::UnrefLoop>("unref"),
                         InstanceMethod<&Socket::Close>("close"),
                         InstanceMethod<&Socket::Rejected>("rejected"),
                         InstanceMethod<&Socket::Overruns>("overruns"),
                         InstanceMethod<&Socket::Waiting>("waiting"),
                     });
}

// Runs when an open socket that is unreachable is garbage-collected, or when the environment ends,
// after its cleanup hook has closed the descriptor.
Socket::~Socket() {
  if (descriptor_ == nullptr) return;
  descriptor_->Forget();
  descriptor_->Close();
}

Napi::Value Socket::Open(const Napi::CallbackInfo& info) {
  int32_t protocol, netns;
  uint32_t read_ahead;
  if (!ReadInt32(info, 0, &protocol) || !ReadInt32(info, 1, &netns) ||
      !ReadUint32(info, 2, &read_ahead)) {
    return {};
  }
  if (descriptor_ != nullptr || closing_) return ValueOf(info.Env(), {-EISCONN, "socket"});
  if (read_ahead % Ring::kLeast != 0 || read_ahead > Ring::kMost) {
    return ValueOf(info.Env(), {-EINVAL, "mmap"});
  }
  ReadAhead* ahead = nullptr;
  if (read_ahead != 0) {
    ahead = new ReadAhead();
    const Outcome allocated = ahead->Allocate(read_ahead);
    if (allocated.result < 0) {
      delete ahead;
      return ValueOf(info.Env(), allocated);
    }
  }
  const Outcome opened = netns < 0 ? OpenSocket(protocol) : OpenSocketIn(netns, protocol);
  if (opened.result < 0) {
    delete ahead;
    return ValueOf(info.Env(), opened);
  }
  Environment* environment = Environment::Of(info.Env());
  const int status = Descriptor::Open(environment, opened.result, ahead, this, &descriptor_);
  return ValueOf(info.Env(), {status, "epoll_ctl"});
}

Napi::Value Socket::Bind(const Napi::CallbackInfo& info) {
  uint32_t port_id, groups;
  if (!ReadUint32(info, 0, &port_id) || !ReadUint32(info, 1, &groups)) return {};
  const sockaddr_nl address = AddressOf(port_id, groups);
  return Result(info, bind(fd(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
}

Napi::Value Socket::Connect(const Napi::CallbackInfo& info) {
  uint32_t port_id, groups;
  if (!ReadUint32(info, 0, &port_id) || !ReadUint32(info, 1, &groups)) return {};
  const sockaddr_nl address = AddressOf(port_id, groups);
  return Result(info, Uninterrupted([&] {
                  return connect(fd(), reinterpret_cast<const sockaddr*>(&address),
                                 sizeof(address));
                }));
}

Napi::Value Socket::Disconnect(const Napi::CallbackInfo& info) {
  sockaddr_nl address = {};
  address.nl_family = AF_UNSPEC;
  return Result(info, Uninterrupted([&] {
                  return connect(fd(), reinterpret_cast<const sockaddr*>(&address),
                                 sizeof(address));
                }));
}

Napi::Value Socket::Address(const Napi::CallbackInfo& info) {
  Bytes into;
  bool peer;
  if (!ReadBytes(info, 0, &into) || !ReadBoolean(info, 1, &peer)) return {};
  if (into.length < 2 * sizeof(uint32_t)) return Napi::Number::New(info.Env(), -EINVAL);
  sockaddr_nl address = {};
  socklen_t length = sizeof(address);
  auto* to = reinterpret_cast<sockaddr*>(&address);
  const int result = peer ? getpeername(fd(), to, &length) : getsockname(fd(), to, &length);
  if (result < 0) return Result(info, result);
  const uint32_t values[] = {address.nl_pid, address.nl_groups};
  memcpy(into.data, values, sizeof(values));
  return Result(info, 0);
}

Napi::Value Socket::SetOption(const Napi::CallbackInfo& info) {
  int32_t level, name;
  Bytes value;
  if (!ReadInt32(info, 0, &level) || !ReadInt32(info, 1, &name) || !ReadBytes(info, 2, &value)) {
    return {};
  }
  return Result(info, setsockopt(fd(), level, name, value.data, value.length));
}

Napi::Value Socket::GetOption(const Napi::CallbackInfo& info) {
  int32_t level, name;
  Bytes into;
  if (!ReadInt32(info, 0, &level) || !ReadInt32(info, 1, &name) || !ReadBytes(info, 2, &into)) {
    return {};
  }
  socklen_t length = into.length;
  const int result = getsockopt(fd(), level, name, into.data, &length);
  return Result(info, result < 0 ? result : static_cast<ssize_t>(length));
}

Napi::Value Socket::AttachFilter(const Napi::CallbackInfo& info) {
  Bytes bytes;
  if (!ReadBytes(info, 0, &bytes)) return {};
  // The kernel copies the instructions as bytes, so their alignment does not matter.
  const sock_fprog program = {static_cast<uint16_t>(bytes.length / sizeof(sock_filter)),
                              reinterpret_cast<sock_filter*>(bytes.data)};
  return Result(info, setsockopt(fd(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)));
}

Napi::Value Socket::ReadControl(const Napi::CallbackInfo&) {
  control_ = true;
  if (ReadAhead* ahead = this->ahead()) ahead->ReadControl();
  return {};
}

Napi::Value Socket::Rest(const Napi::CallbackInfo& info) {
  uint32_t milliseconds;
  if (!ReadUint32(info, 0, &milliseconds)) return {};
  constexpr uint32_t kMost = 1000;
  if (ReadAhead* ahead = this->ahead()) ahead->Rest(std::min(milliseconds, kMost));
  return {};
}

Napi::Value Socket::Send(const Napi::CallbackInfo& info) {
  Bytes bytes;
  uint32_t port_id = 0, groups = 0;
  if (!ReadBytes(info, 0, &bytes)) return {};
  const bool connected = info.Length() == 1;
  if (!connected && (!ReadUint32(info, 1, &port_id) || !ReadUint32(info, 2, &groups))) return {};
  const sockaddr_nl address = AddressOf(port_id, groups);
  const auto* to = connected ? nullptr : reinterpret_cast<const sockaddr*>(&address);
  return Result(info, Uninterrupted([&] {
                  return sendto(fd(), bytes.data, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL, to,
                                connected ? 0 : sizeof(address));
                }));
}

Napi::Value Socket::Start(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Function callback;
  bool kernel_only;
  uint32_t batch;
  if (!ReadFunction(info, 0, &callback) || !ReadBoolean(info, 1, &kernel_only) ||
      !ReadUint32(info, 2, &batch)) {
    return {};
  }
  if (batch < 1 || batch > kBatch) return ValueOf(env, {-EINVAL, "recvmmsg"});
  if (descriptor_ == nullptr || closing_) return ValueOf(env, {-EBADF, "recvmmsg"});
  Environment* environment = Environment::Of(env);
  if (environment->arena.Ensure(env) == nullptr) return ValueOf(env, {-ENOMEM, "calloc"});
  if (ReadAhead* ahead = this->ahead()) {
    const int started = ahead->Start(fd(), kernel_only);
    if (started != 0) return ValueOf(env, {started, "pthread_create"});
  } else {
    const int allocated = environment->buffers.Allocate();
    if (allocated != 0) return ValueOf(env, {allocated, "mmap"});
  }
  const int started = descriptor_->Start();
  if (started != 0) return ValueOf(env, {started, "epoll_ctl"});
  kernel_only_ = kernel_only;
  batch_ = batch;
  on_batch_ = Napi::Persistent(callback);
  if (!receiving_) Ref();
  receiving_ = true;
  return Napi::Number::New(env, 0);
}

Napi::Value Socket::Stop(const Napi::CallbackInfo&) {
  StopReceiving();
  return {};
}

void Socket::StopReceiving() {
  if (!receiving_) return;
  receiving_ = false;
  if (!closing_) descriptor_->Stop();
  on_batch_.Reset();
  Unref();
}

Napi::Value Socket::RefLoop(const Napi::CallbackInfo&) {
  if (descriptor_ != nullptr) descriptor_->Ref();
  return {};
}

Napi::Value Socket::UnrefLoop(const Napi::CallbackInfo&) {
  if (descriptor_ != nullptr) descriptor_->Unref();
  return {};
}

Napi::Value Socket::Close(const Napi::CallbackInfo& info) {
  Napi::Function callback;
  if (!ReadFunction(info, 0, &callback)) return {};
  if (descriptor_ == nullptr || closing_) return Napi::Number::New(info.Env(), -EBADF);
  StopReceiving();
  if (ReadAhead* ahead = this->ahead()) rejected_ += ahead->TakeRejected();
  closing_ = true;
  on_closed_ = Napi::Persistent(callback);
  Ref();  // until OnClosed
  descriptor_->Close();
  return Napi::Number::New(info.Env(), 0);
}

Napi::Value Socket::Rejected(const Napi::CallbackInfo& info) {
  // Rejecting alone does not wake the loop.
  if (ReadAhead* ahead = this->ahead()) rejected_ += ahead->TakeRejected();
  return Napi::Number::New(info.Env(), rejected_);
}

Napi::Value Socket::Overruns(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), overruns_);
}

Napi::Value Socket::Waiting(const Napi::CallbackInfo& info) {
  const size_t waiting = ahead() == nullptr ? 0 : ahead()->Waiting();
  return Napi::Number::New(info.Env(), static_cast<double>(waiting));
}

// Reads one batch; returns its size or -errno. A call that reports a loss leaves the datagrams
// queued before it for the next call, so this retries; the retries are limited because further
// losses can occur meanwhile.
int Socket::Read(int* lost) {
  int result = 0;
  for (int attempt = 0; attempt < 4; attempt++) {
    result = Environment::Of(Env())->buffers.Receive(fd(), batch_, control_);
    if (result >= 0 || !MeansLoss(-result)) break;
    overruns_++;
    if (*lost == 0) *lost = -result;
    result = 0;
  }
  return result == -EAGAIN ? 0 : result;
}

void Socket::OnReadable() {
  Napi::Env env = Env();
  Napi::HandleScope scope(env);
  Environment* environment = Environment::Of(env);
  uint8_t* arena = environment->arena.Ensure(env);
  int lost = 0;
  int failed = 0;
  Packed packed;
  auto* entries = arena == nullptr ? nullptr : reinterpret_cast<Entry*>(arena + Arena::EntriesAt());
  if (arena == nullptr) {
    failed = ENOMEM;
  } else if (ReadAhead* ahead = this->ahead()) {
    overruns_ += ahead->Take(batch_, arena, Arena::First(arena), entries, &packed, &lost, &failed);
  } else {
    const int received = Read(&lost);
    if (received < 0) failed = -received;
    if (received > 0) {
      packed =
          environment->buffers.Pack(received, kernel_only_, arena, Arena::First(arena), entries);
    }
  }
  rejected_ += packed.rejected;
  Napi::Function callback = on_batch_.Value();
  // Reading again would not help, and the loop would spin.
  if (failed != 0) StopReceiving();
  if (packed.count == 0 && lost == 0 && failed == 0) return;
  Call(callback, {Napi::Number::New(env, packed.count), Napi::Number::New(env, lost),
                  Napi::Number::New(env, failed)});
  environment->arena.Wipe(env, packed.used);
}

void Socket::OnClosed() {
  descriptor_ = nullptr;
  // The environment is ending, and closed it or interrupted its closing: JavaScript must not be
  // called, and the references are freed with this object.
  if (Environment::Of(Env())->ending()) return;
  Napi::HandleScope scope(Env());
  Napi::Function callback = on_closed_.Value();
  on_closed_.Reset();
  Call(callback, {});
  Unref();
}

void Socket::Call(Napi::Function function, std::initializer_list<napi_value> arguments) {
  Napi::Env env = Env();
  napi_value result;
  // Without an async context: the listener has its own (lib/socket/socket.ts).
  if (napi_make_callback(env, nullptr, Value(), function, arguments.size(), arguments.begin(),
                         &result) == napi_ok) {
    return;
  }
  // If left pending, the exception would be swallowed and no later callback would run. Without an
  // exception, the thread is being terminated and there is nothing to report.
  bool pending = false;
  napi_value error;
  if (napi_is_exception_pending(env, &pending) == napi_ok && pending &&
      napi_get_and_clear_last_exception(env, &error) == napi_ok) {
    napi_fatal_exception(env, error);
  }
}
