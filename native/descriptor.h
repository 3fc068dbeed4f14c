// A file descriptor watched by the environment's event loop: owns both the descriptor and its libuv
// handle, and outlives the JavaScript object that uses it, because libuv needs the handle until its
// close callback.
#pragma once

#include <uv.h>

#include "read_ahead.h"

class Environment;

class Descriptor {
 public:
  // Both are called on the loop's thread. OnClosed is the last call.
  class User {
   public:
    virtual void OnReadable() = 0;
    virtual void OnClosed() = 0;

   protected:
    ~User() = default;
  };

  // Takes ownership of `fd`, which is closed even on failure, and of `ahead`, if there is one: what
  // reads `fd` then, and makes it readable. Returns 0 or -errno.
  static int Open(Environment* environment, int fd, ReadAhead* ahead, User* user,
                  Descriptor** result);

  int fd() const { return fd_; }
  ReadAhead* ahead() const { return ahead_; }
  int Start();
  void Stop();
  void Ref();
  void Unref();
  // Frees this later, in libuv's close callback. May be called again until then.
  void Close();
  // The user is destroyed before the descriptor.
  void Forget() { user_ = nullptr; }

 private:
  Descriptor(Environment* environment, int fd, ReadAhead* ahead, User* user)
      : environment_(environment), user_(user), fd_(fd), ahead_(ahead) {}
  void Free();
  static void OnPoll(uv_poll_t* poll, int status, int events);
  static void OnClose(uv_handle_t* handle);
  uv_handle_t* handle() { return reinterpret_cast<uv_handle_t*>(&poll_); }

  Environment* environment_;
  User* user_;
  int fd_;
  ReadAhead* ahead_;
  uv_poll_t poll_;
};
