// In place of what exceptions need of libc++abi and libunwind. The addon is compiled without exceptions,
// and where the C++ library would throw, the process ends, as it would without a handler. This and
// link-time optimization halve each prebuilt addon.
#include <cstdlib>
#include <exception>
#include <new>

extern "C" {
void* __cxa_allocate_exception(std::size_t) noexcept { std::abort(); }
void __cxa_free_exception(void*) noexcept { std::abort(); }
[[noreturn]] void __cxa_throw(void*, void*, void (*)(void*)) { std::abort(); }
void* __cxa_begin_catch(void*) noexcept { std::abort(); }
void __cxa_end_catch() { std::abort(); }
[[noreturn]] void __cxa_rethrow() { std::abort(); }
int __gxx_personality_v0() { std::abort(); }
[[noreturn]] void _Unwind_Resume(void*) { std::abort(); }
}

[[noreturn]] void std::terminate() noexcept { std::abort(); }

void* operator new(std::size_t size) {
  void* memory = std::malloc(size);
  if (memory == nullptr) std::abort();
  return memory;
}
void* operator new[](std::size_t size) { return operator new(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
