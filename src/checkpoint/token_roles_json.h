// Converts between TokenRoles and the members bos_token_id, eos_token_id and pad_token_id of a JSON object,
// which have these names in Hugging Face's config.json.
#pragma once

#include "token_roles.h"
#include "util/json.h"

namespace hipgpt {

/// Reads the roles of a vocabulary of this size. Ids outside it name no token and are dropped: the default
/// config.json of a small model has GPT-2's 50256, and -1 means none. Throws Error for anything but ids.
TokenRoles token_roles_in(const JsonValue& object, int vocab_size);

/// Sets the member of each role that is not empty.
void set_token_roles(JsonValue& object, const TokenRoles& roles);

}  // namespace hipgpt
