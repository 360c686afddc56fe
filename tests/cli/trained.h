// Helpers shared by the tests of generate: a small model, and checks of its texts.
#pragma once

#include <nlohmann/json.hpp>

#include "cli/program.h"

namespace hipgpt {

/// The JSON library writes only valid UTF-8 and throws on anything else.
inline bool is_utf8(const std::string& text) {
  try {
    nlohmann::json(text).dump();
    return true;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

/// A model with a context of 8 tokens in the working folder, and the run `a` that trained it.
class TrainedCliTest : public CliTest {
 protected:
  TrainedCliTest() {
    write_text();
    // The model is barely trained: it generates any byte, and every sampling flag makes a difference.
    if (!succeeds(train({{"--run-name", "a"}, {"--ckpt-every", "2"}, {"--tied-head", "true"}})))
      throw std::runtime_error("cannot train");
    for (const char* name : {"tokenizer.json", "step_4.bin"})
      fs::copy(path("checkpoints/a") / name, path(name));
    fs::rename(path("step_4.bin"), path("gpt_checkpoint.bin"));
  }

  std::string text(const Flags& flags) const { return text_of(flags, {}); }

  /// The same, with extra flags that take no value.
  std::string text_of(const Flags& flags, const Arguments& more) const {
    Flags all = flags;
    all.merge(Flags{{"--prompt", "the king"}, {"--seed", "1"}, {"--top-k", "0"}});
    Arguments arguments = to_arguments(all);
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Result result = generate(arguments);
    EXPECT_TRUE(succeeds(result));
    return result.out;
  }

  /// Parses JSON lines into objects.
  static std::vector<nlohmann::json> objects(const std::string& lines) {
    std::vector<nlohmann::json> all;
    for (const std::string& line : lines_of(lines)) all.push_back(nlohmann::json::parse(line));
    return all;
  }
};

}  // namespace hipgpt
