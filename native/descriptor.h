// A file descriptor watched by the environment's event loop: owns both the descriptor and its libuv
// handle, and outlives the JavaScript object that uses it, because libuv needs the handle until its
// close callback.
#pragma once

#include <uv.h>

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

  // Takes ownership of `fd`, which is closed even on failure. Returns 0 or -errno.
  static int Open(Environment* environment, int fd, User* user, Descriptor** result);

  int fd() const { return fd_; }
  int Start();
  void Stop();
  void Ref();
  void Unref();
  // Frees this later, in libuv's close callback. May be called again until then.
  void Close();
  // The user is destroyed before the descriptor.
  void Forget() { user_ = nullptr; }

 private:
  Descriptor(Environment* environment, int fd, User* user)
      : environment_(environment), user_(user), fd_(fd) {}
  static void OnPoll(uv_poll_t* poll, int status, int events);
  static void OnClose(uv_handle_t* handle);
  uv_handle_t* handle() { return reinterpret_cast<uv_handle_t*>(&poll_); }

  Environment* environment_;
  User* user_;
  int fd_;
  uv_poll_t poll_;
};
