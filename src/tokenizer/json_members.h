// Reads the members of a tokenizer's JSON files.
#pragma once

#include <initializer_list>
#include <string>

#include "util/json.h"

namespace hipgpt {

/// Return a member of `object`. Throw Error if there is none or it has another type.
const JsonValue& member(const JsonValue& object, const char* key);
std::string string_member(const JsonValue& object, const char* key);
bool bool_member(const JsonValue& object, const char* key);

/// Throws Error unless each of these members is missing, null, false, 0 or "".
void require_off(const JsonValue& object, std::initializer_list<const char*> keys);

}  // namespace hipgpt
