// The class JavaScript sees. A method that makes one system call returns its result or -errno; one
// that makes several (open, start) may return a failure as made by ValueOf.
#pragma once

#include <napi.h>

#include "descriptor.h"

class Socket : public Napi::ObjectWrap<Socket>, private Descriptor::User {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit Socket(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Socket>(info) {}
  ~Socket();

 private:
  // open(protocol, netns, readAhead): a thread reads ahead into readAhead bytes, unless 0; in the
  // network namespace of that descriptor, or with -1 in the thread's own
  Napi::Value Open(const Napi::CallbackInfo& info);
  // bind(portId, groups)
  Napi::Value Bind(const Napi::CallbackInfo& info);
  // connect(portId, groups)
  Napi::Value Connect(const Napi::CallbackInfo& info);
  // disconnect()
  Napi::Value Disconnect(const Napi::CallbackInfo& info);
  // address(into, peer): writes port id and group mask, each 4 bytes in host byte order: the
  // socket's own, or those of its connected peer
  Napi::Value Address(const Napi::CallbackInfo& info);
  // setOption(level, name, value: bytes)
  Napi::Value SetOption(const Napi::CallbackInfo& info);
  // getOption(level, name, into): the length
  Napi::Value GetOption(const Napi::CallbackInfo& info);
  // attachFilter(instructions): consecutive struct sock_filter
  Napi::Value AttachFilter(const Napi::CallbackInfo& info);
  // control(): from now on, control messages are read
  Napi::Value ReadControl(const Napi::CallbackInfo& info);
  // rest(milliseconds): how long the thread that reads ahead rests after it read all, at most 1000;
  // ends a rest
  Napi::Value Rest(const Napi::CallbackInfo& info);
  // send(bytes, portId, groups), or send(bytes) to the connected peer
  Napi::Value Send(const Napi::CallbackInfo& info);
  // start(callback, kernelOnly, batch): callback(count, lost, failed), the last two an errno or 0;
  // batch is the maximum number of datagrams per read
  Napi::Value Start(const Napi::CallbackInfo& info);
  Napi::Value Stop(const Napi::CallbackInfo& info);
  Napi::Value RefLoop(const Napi::CallbackInfo& info);
  Napi::Value UnrefLoop(const Napi::CallbackInfo& info);
  // close(callback): called once, when the descriptor is closed
  Napi::Value Close(const Napi::CallbackInfo& info);
  Napi::Value Rejected(const Napi::CallbackInfo& info);
  Napi::Value Overruns(const Napi::CallbackInfo& info);
  // waiting(): bytes read ahead
  Napi::Value Waiting(const Napi::CallbackInfo& info);

  void OnReadable() override;
  void OnClosed() override;

  int Read(int* lost);
  void StopReceiving();
  void Call(Napi::Function function, std::initializer_list<napi_value> arguments);
  ReadAhead* ahead() const { return descriptor_ == nullptr ? nullptr : descriptor_->ahead(); }
  int fd() const { return descriptor_ == nullptr ? -1 : descriptor_->fd(); }

  Descriptor* descriptor_ = nullptr;  // null before open and after close
  bool closing_ = false;
  bool receiving_ = false;
  bool kernel_only_ = true;
  bool control_ = false;
  uint32_t batch_ = 0;
  Napi::FunctionReference on_batch_;  // held only while receiving, so idle sockets can be collected
  Napi::FunctionReference on_closed_;
  double rejected_ = 0;
  double overruns_ = 0;
};
