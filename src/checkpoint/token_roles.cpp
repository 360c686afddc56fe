#include "token_roles.h"

#include <fmt/format.h>

#include "checkpoint/token_roles_json.h"
#include "error.h"

namespace hipgpt {

namespace {

constexpr const char* kBegin = "bos_token_id";
constexpr const char* kEnd = "eos_token_id";
constexpr const char* kPad = "pad_token_id";

/// Reads an id or a list of ids.
std::vector<int32_t> ids_in(const JsonValue& object, const char* key, int vocab_size) {
  const JsonValue& value = object[key];
  std::vector<int32_t> ids;
  const auto add = [&](const JsonValue& id) {
    if (!id.is_whole()) {
      throw Error(fmt::format("\"{}\" is {}: it should be the id of a token, or a list of ids", key,
                              value.dump().substr(0, 100)));
    }
    if (id.is_count() && id.as_count() < static_cast<uint64_t>(vocab_size))
      ids.push_back(static_cast<int32_t>(id.as_count()));
  };
  if (value.is_array()) {
    for (const JsonValue& id : value.items()) add(id);
  } else if (!value.is_null()) {
    add(value);
  }
  return ids;
}

std::optional<int32_t> first(const std::vector<int32_t>& ids) {
  return ids.empty() ? std::nullopt : std::optional(ids.front());
}

}  // namespace

TokenRoles TokenRoles::over(const TokenRoles& base) const {
  return {begin ? begin : base.begin, pad ? pad : base.pad, end.empty() ? base.end : end};
}

TokenRoles TokenRoles::complete(const Tokenizer& tokenizer) const {
  const auto end_of_text = tokenizer.special_token(kEndOfText);
  return end_of_text ? over({end_of_text, {}, {*end_of_text}}) : *this;
}

TokenRoles token_roles_in(const JsonValue& object, int vocab_size) {
  return {first(ids_in(object, kBegin, vocab_size)), first(ids_in(object, kPad, vocab_size)),
          ids_in(object, kEnd, vocab_size)};
}

void set_token_roles(JsonValue& object, const TokenRoles& roles) {
  if (roles.begin) object.set(kBegin, *roles.begin);
  if (roles.end.size() == 1) object.set(kEnd, roles.end.front());
  if (roles.end.size() > 1) object.set(kEnd, roles.end);
  if (roles.pad) object.set(kPad, *roles.pad);
}

}  // namespace hipgpt
