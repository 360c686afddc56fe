#include "training/follower.h"

#include <fmt/format.h>

#include <optional>
#include <string>

#include "error.h"
#include "records/progress.h"
#include "training/data_source.h"
#include "training/stop_signal.h"
#include "util/json.h"
#include "util/run_flags_text.h"

namespace hipgpt {

namespace {

/// Only the leader reports on the run.
class NoProgress final : public Progress {
 public:
  void show(const std::string&) override {}
  void print(const std::string&) override {}
  void warn(const std::string&) override {}
};

JsonValue range_of(const TokenPart& part) {
  return {{"begin", part.begin}, {"end", part.end}};
}

/// The tokens that the leader has chosen, or encoded into a file that all processes see.
TokenPart open_part(Parameter parameter, const std::vector<std::string>& paths, const std::string& encoded,
                    const JsonValue& range, const TrainingRun& run, const RunFolder& folder, int vocab_size) {
  NoProgress silent;
  const DataSource source(parameter, paths, run.tokens, folder, silent);
  TokenShards tokens = source.is_text() ? TokenShards(TokenFile::open(encoded, TokenFile::Check::kHeader))
                                        : source.shards(static_cast<uint64_t>(vocab_size));
  const TokenPart part{std::move(tokens), range["begin"].as_count(), range["end"].as_count()};
  if (part.end > part.tokens.size()) {
    throw Error(fmt::format("{}: has {} tokens, but rank 0 sees {}: all hosts need the same folder",
                            part.tokens.name(), part.tokens.size(), part.end));
  }
  return part;
}

std::string name_of_tokens(const TrainingTokens& tokens) {
  return fmt::format("{} ({:016x}{})", tokens.train.tokens.name(), tokens.train.tokens.sample_hash(),
                     tokens.val ? fmt::format(" and {:016x}", tokens.val->tokens.sample_hash()) : "");
}

}  // namespace

void tell_start(Team& team, const ModelConfig& config, const TrainingTokens& tokens) {
  JsonValue sizes = JsonValue::Object();
  for (const auto& [name, value] : config.to_metadata()) sizes.set(name, value);
  JsonValue start = {{"config", sizes}, {"train", range_of(tokens.train)}};
  if (tokens.val) start.set("val", range_of(*tokens.val));
  team.tell(start.dump());
}

void tell_end(Team& team, int status) {
  team.tell(fmt::format("{}{}", static_cast<char>(Command::kEnd), status));
}

void agree_on_flags(Processes& processes, const TrainingRun& run) {
  if (processes.size() == 1) return;
  Processes::Facts facts = {{"program", program_hash()},
                            {"start", fmt::format("'{}{}{}{}'", run.run_name, run.checkpoint, run.init_from,
                                                  run.resume ? " (resumed)" : "")}};
  for (const auto& flag : run.first_flags) facts["flag " + flag.first] = to_text({flag});
  processes.agree(facts);
}

void agree_on_model(Processes& processes, const GPTModel& model, const TrainingTokens& tokens) {
  if (processes.size() == 1) return;
  processes.agree({{"dtype", name_of(model.dtype())}, {"text", name_of_tokens(tokens)}});
}

DataLoader loader(const TokenPart& part, const TrainingRun& run, const ModelConfig& config,
                  const Communicator& communicator) {
  const int rows = static_cast<int>(Trainer::rows(run.training, communicator).size());
  return {part.tokens, part.begin, part.end, rows, config.max_seq_len, run.training.seed};
}

int follow(const TrainingRun& run, Processes& processes,
           const std::function<void(const std::string&)>& warn) {
  Team& team = processes.team();
  const StopSignal stop_signal(nullptr);
  team.forward_signals(StopSignal::received, {});
  agree_on_flags(processes, run);
  const auto device = make_device(
      processes.device(run.device), processes.threads(run.threads),
      [&](const std::string& note) { warn(fmt::format("{}: {}", team.name(team.rank()), note)); });

  const JsonValue start = parse_json(team.hear());
  std::map<std::string, std::string> sizes;
  for (const auto& size : start["config"].members()) sizes[size.name] = size.value.as_string();
  const ModelConfig config = ModelConfig::from_metadata(sizes, "rank 0");
  GPTModel model(*device, config, choose_dtype(run.dtype, *device, config));
  const RunFolder folder(run.run_name);
  TrainingTokens tokens;
  tokens.train = open_part(Parameter::kDataPaths, run.data_paths, folder.tokens(), start["train"], run,
                           folder, config.vocab_size);
  if (const JsonValue* val = start.find("val")) {
    const bool own = !run.val_data_paths.empty();
    tokens.val = open_part(own ? Parameter::kValDataPaths : Parameter::kDataPaths,
                           own ? run.val_data_paths : run.data_paths,
                           own ? folder.val_tokens() : folder.tokens(), *val, run, folder, config.vocab_size);
  }
  agree_on_model(processes, model, tokens);

  Communicator& communicator = processes.connect(*device);
  const DataLoader train_data = loader(tokens.train, run, config, communicator);
  std::optional<DataLoader> val_data;
  if (tokens.val) val_data = loader(*tokens.val, run, config, communicator);
  Trainer trainer(model, train_data, run.training, communicator);
  trainer.start_at(0);
  for (;;) {
    const std::string message = team.hear();
    try {
      switch (static_cast<Command>(message[0])) {
        case Command::kStep: trainer.train_step(); break;
        case Command::kResult: trainer.last_step(); break;
        case Command::kValidate:
          evaluate(
              trainer.pass(), *val_data, static_cast<size_t>(run.eval_batches), [] { return false; },
              communicator);
          break;
        case Command::kSave: trainer.read_moments([](Moment, Tensor) {}); break;
        case Command::kEnd: return std::stoi(message.substr(1));
      }
    } catch (const NotFinite&) {
      // The leader finds the same and ends the run.
    }
  }
}

}  // namespace hipgpt
