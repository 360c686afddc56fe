// RunFlags as JSON and as words.
#pragma once

#include <optional>
#include <string>

#include "run_flags.h"
#include "util/json.h"

namespace hipgpt {

/// {"data-path": ["a.txt", "b.txt"], "steps": ["100"]}. A file name may hold any bytes, but JSON holds only
/// UTF-8. Other bytes are lost, and the user must repeat such a flag when resuming.
JsonValue to_json(const RunFlags& flags);

/// Returns nullopt if `json` has another form. Also reads the list of "--name=value" that runs once saved.
std::optional<RunFlags> run_flags_from(const JsonValue& json);

/// As a user would type them: "--lr=1e-3 --steps=100".
std::string to_text(const RunFlags& flags);

}  // namespace hipgpt
