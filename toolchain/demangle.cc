// In place of libc++abi's: what it is for, naming the type of an exception that nobody caught, cannot
// happen in code without exceptions, and each prebuilt addon is smaller by a quarter for it.
extern "C" char* __cxa_demangle(const char*, char*, unsigned long*, int* status) {
  if (status != nullptr) *status = -2;  // not a valid name
  return nullptr;
}
