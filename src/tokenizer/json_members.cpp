#include "tokenizer/json_members.h"

#include <fmt/format.h>

#include "error.h"

namespace hipgpt {

const JsonValue& member(const JsonValue& object, const char* key) {
  if (!object.is_object()) throw Error(fmt::format("the object that should hold \"{}\" is missing", key));
  const JsonValue* found = object.find(key);
  if (found == nullptr) throw Error(fmt::format("\"{}\" is missing", key));
  return *found;
}

std::string string_member(const JsonValue& object, const char* key) {
  const JsonValue& value = member(object, key);
  if (!value.is_string()) throw Error(fmt::format("\"{}\" should be a string", key));
  return value.as_string();
}

bool bool_member(const JsonValue& object, const char* key) {
  const JsonValue& value = member(object, key);
  if (!value.is_bool()) throw Error(fmt::format("\"{}\" should be true or false", key));
  return value.as_bool();
}

void require_off(const JsonValue& object, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    const JsonValue& value = object[key];
    if (!(value.is_null() || value == false || value == "" || value == 0.0)) {
      throw Error(
          fmt::format("\"{}\" is set, which HipGPT does not support: it should be null or false", key));
    }
  }
}

}  // namespace hipgpt
