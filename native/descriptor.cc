#include "descriptor.h"

#include <unistd.h>

#include "environment.h"

void Descriptor::Free() {
  // First, because it reads the descriptor.
  delete ahead_;
  close(fd_);
}

int Descriptor::Open(Environment* environment, int fd, ReadAhead* ahead, User* user,
                     Descriptor** result) {
  auto* self = new Descriptor(environment, fd, ahead, user);
  const int polled = ahead != nullptr ? ahead->readable() : fd;
  const int status = uv_poll_init(environment->loop(), &self->poll_, polled);
  if (status != 0) {
    // libuv has not registered anything yet.
    self->Free();
    delete self;
    return status;
  }
  self->poll_.data = self;
  environment->Add(self);
  *result = self;
  return 0;
}

int Descriptor::Start() { return uv_poll_start(&poll_, UV_READABLE, OnPoll); }

void Descriptor::Stop() { uv_poll_stop(&poll_); }

void Descriptor::Ref() { uv_ref(handle()); }

void Descriptor::Unref() { uv_unref(handle()); }

void Descriptor::Close() {
  if (uv_is_closing(handle())) return;
  uv_poll_stop(&poll_);
  if (ahead_ != nullptr) ahead_->Stop();
  uv_close(handle(), OnClose);
}

void Descriptor::OnPoll(uv_poll_t* poll, int status, int) {
  auto* self = static_cast<Descriptor*>(poll->data);
  // A pending error on the socket (ENOBUFS: events were lost) raises POLLERR, upon which libuv
  // stops the handle and reports UV_EBADF (libuv src/unix/poll.c, uv__poll_io). The descriptor is
  // fine: keep watching, and let the user see the error when reading.
  if (status < 0) self->Start();
  if (self->user_ != nullptr) self->user_->OnReadable();
}

void Descriptor::OnClose(uv_handle_t* handle) {
  auto* self = static_cast<Descriptor*>(handle->data);
  // Not before: libuv could still have the number in its epoll set, and it could be reused.
  self->Free();
  if (self->user_ != nullptr) self->user_->OnClosed();
  self->environment_->Remove(self);
  delete self;
}
