#include "arguments.h"

#include <string>

namespace {

bool Refuse(const Napi::CallbackInfo& info, size_t index, const char* expected) {
  const std::string message = "argument " + std::to_string(index + 1) + " must be " + expected;
  Napi::TypeError::New(info.Env(), message).ThrowAsJavaScriptException();
  return false;
}

}  // namespace

bool ReadUint32(const Napi::CallbackInfo& info, size_t index, uint32_t* value) {
  if (napi_get_value_uint32(info.Env(), info[index], value) == napi_ok) return true;
  return Refuse(info, index, "a number");
}

bool ReadInt32(const Napi::CallbackInfo& info, size_t index, int32_t* value) {
  if (napi_get_value_int32(info.Env(), info[index], value) == napi_ok) return true;
  return Refuse(info, index, "a number");
}

bool ReadBoolean(const Napi::CallbackInfo& info, size_t index, bool* value) {
  if (napi_get_value_bool(info.Env(), info[index], value) == napi_ok) return true;
  return Refuse(info, index, "a boolean");
}

bool ReadPath(const Napi::CallbackInfo& info, size_t index, Path* value) {
  if (napi_get_value_string_utf8(info.Env(), info[index], value->text, sizeof(value->text),
                                 nullptr) == napi_ok) {
    return true;
  }
  return Refuse(info, index, "a string");
}

bool ReadFunction(const Napi::CallbackInfo& info, size_t index, Napi::Function* value) {
  const Napi::Value argument = info[index];
  if (!argument.IsFunction()) return Refuse(info, index, "a function");
  *value = argument.As<Napi::Function>();
  return true;
}

bool ReadBytes(const Napi::CallbackInfo& info, size_t index, Bytes* value) {
  bool typed = false;
  napi_typedarray_type type;
  void* data = nullptr;
  if (napi_is_typedarray(info.Env(), info[index], &typed) != napi_ok || !typed ||
      napi_get_typedarray_info(info.Env(), info[index], &type, &value->length, &data, nullptr,
                               nullptr) != napi_ok ||
      type != napi_uint8_array) {
    return Refuse(info, index, "a Uint8Array");
  }
  value->data = static_cast<uint8_t*>(data);
  return true;
}

Napi::Value ValueOf(Napi::Env env, const Outcome& outcome) {
  const Napi::Number result = Napi::Number::New(env, outcome.result);
  if (outcome.result >= 0) return result;
  Napi::Object failure = Napi::Object::New(env);
  failure["errno"] = result;
  failure["syscall"] = Napi::String::New(env, outcome.syscall);
  return failure;
}
