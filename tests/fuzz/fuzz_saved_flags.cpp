// Fuzzes the flags that a run saved, one per line, as a stranger may have written them. Only settings within
// their ranges are taken, and nothing that writes, reads flags elsewhere or ends the program.
#include <algorithm>

#include "cli/command_line.h"
#include "cli/train_options.h"
#include "fuzz_target.h"
#include "util/run_flags_text.h"

namespace hipgpt::fuzz {
namespace {

/// Each line is "--name=value".
RunFlags flags_in(std::string_view text) {
  JsonValue::Array lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return run_flags_from(lines).value();
}

bool within(double value, double lowest, double highest) {
  return value >= lowest && value <= highest;  // false for NaN
}

/// The command line of a run that resumes with these settings.
void check_run(const RunFlags& taken) {
  std::vector<std::string> words = {"train_gpt"};
  for (const auto& [name, values] : taken) {
    for (const std::string& value : values) words.push_back("--" + name + "=" + value);
  }
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  TrainingRun run;
  int exit_status = -1;
  if (!parse_train_options(static_cast<int>(words.size()), argv.data(), run, exit_status)) {
    require(exit_status == 2, "settings end a program only if they contradict each other");
    return;
  }
  require(run.tensorboard.empty() && run.run_name.empty() && run.checkpoint.empty() && run.init_from.empty(),
          "settings name no place to write to and no other run");
  require(!run.resume && !run.reset && run.threads == 0, "settings start nothing");
  const TrainerOptions& t = run.training;
  require(t.steps >= 1 && t.batch >= 1 && t.grad_accum >= 1, "there is something to train on");
  require(within(t.dropout, 0.0, 0.95) && within(t.beta1, 0.0, 1.0) && within(t.grad_clip, 0.0, 1e9),
          "the settings are in range");
  require(!run.data_paths.empty() && !run.data_paths.front().empty(), "--data-path is not empty");
}

}  // namespace
}  // namespace hipgpt::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hipgpt;
  const auto flags = fuzz::flags_in(fuzz::as_text(data, size));
  SavedSettings saved;
  if (!fuzz::succeeds([&] { saved = read_saved_settings(flags, "a file"); })) return 0;
  fuzz::require(saved.taken.size() + saved.left.size() == flags.size(), "every flag is taken or left");
  for (const char* name : {"help", "version", "config", "run-name", "tensorboard", "ckpt", "init-from",
                           "threads", "resume", "reset", "list-devices"}) {
    fuzz::require(!saved.taken.contains(name), "every taken flag is a setting");
  }
  fuzz::check_run(saved.taken);
  return 0;
}
