#include "generation/explain_prompt.h"

#include <fmt/format.h>

#include <algorithm>

#include "checkpoint.h"
#include "error.h"
#include "explain/explanation.h"
#include "explain/page.h"
#include "generation/standard_streams.h"
#include "generator.h"
#include "run_folder.h"
#include "util/atomic_file.h"
#include "util/number_text.h"
#include "util/parameter.h"

namespace hipgpt {

namespace {

bool is_page(const GenerationRun& run) {
  return run.explain_file.ends_with(".html");
}

/// The prompt and the tokens drawn after it.
std::vector<int32_t> text_to_explain(const GenerationRun& run, const std::vector<int32_t>& prompt,
                                     const Sampling& sampling, const std::vector<int32_t>& stop_tokens,
                                     const GPTModel& model) {
  if (run.explained_tokens == 0) return prompt;
  Generator generator(model, prompt, sampling);
  for (int64_t n = 0; n < run.explained_tokens; ++n) {
    if (std::ranges::find(stop_tokens, generator.next()) != stop_tokens.end()) break;
  }
  return generator.tokens();
}

/// Adds every checkpoint of the run, the oldest first.
void add_checkpoints(Explanation& explanation, const std::vector<std::string>& paths,
                     const ExplainedModel& explained) {
  for (auto it = paths.rbegin(); it != paths.rend(); ++it) {
    const std::string& path = *it;
    const Checkpoint checkpoint = Checkpoint::open(path);
    checkpoint.check_tokenizer(explained.tokenizer.hash(), explained.tokenizer.vocab_size(), path);
    if (!(checkpoint.info().config == explained.model.config())) {
      throw Error(fmt::format("{}: is from a model of other sizes than the run's newest checkpoint; drop {}",
                              path, Parameter::kExplainSteps));
    }
    checkpoint.weights().load_into(explained.model);
    explanation.add_checkpoint(explained.model, checkpoint.info().step);
    show_progress(fmt::format("step {}", checkpoint.info().step));
  }
  show_progress("");
}

JsonValue facts_of(const ExplainedModel& explained) {
  const ModelConfig& c = explained.model.config();
  return {{"name", explained.name},
          {"parameters", c.parameter_count()},
          {"vocab_size", c.vocab_size},
          {"seq", c.max_seq_len},
          {"dim", c.embed_dim},
          {"heads", c.num_heads},
          {"layers", c.num_layers},
          {"ff", c.ff_hidden_dim},
          {"activation", to_string(c.activation)},
          {"final_layernorm", c.final_layernorm},
          {"tied_head", c.tied_head},
          {"head_bias", c.head_bias},
          {"device", where_it_computes(explained.model)}};
}

}  // namespace

void check_explain_flags(const GenerationRun& run) {
  const std::string& file = run.explain_file;
  if (run.explain_steps && (file.empty() || run.run_name.empty())) {
    throw Error(fmt::format("give {} FILE and {} NAME with {}", Parameter::kExplainFile, Parameter::kRunName,
                            Parameter::kExplainSteps));
  }
  if (file.empty()) return;
  if (!is_page(run) && !file.ends_with(".json")) {
    throw Error(fmt::format("{} {}: the name must end in .html, for a page, or .json, for its data",
                            Parameter::kExplainFile, file));
  }
  if (RunFolder(run.run_name).is_artifact(file)) {
    throw Error(fmt::format("{} {}: a training run keeps a file of this name here; use another name",
                            Parameter::kExplainFile, file));
  }
  AtomicFile probe(file);
}

void check_explain_length(const GenerationRun& run, int64_t prompt_tokens, const ModelConfig& config) {
  const int64_t context = config.max_seq_len, of_page = static_cast<int64_t>(kMostExplained);
  if (prompt_tokens + run.explained_tokens <= std::min(context, of_page)) return;
  const bool draws = run.explained_tokens > 0;
  throw Error(fmt::format(
      "{}: the prompt has {}{}, but {} at most {}; give a shorter prompt{}", Parameter::kExplainFile,
      counted(static_cast<uint64_t>(prompt_tokens), "token"),
      draws ? fmt::format(", and {} adds {}", Parameter::kExplainedTokens, run.explained_tokens) : "",
      context < of_page ? "the model sees" : "a page shows", std::min(context, of_page),
      draws ? fmt::format(" or a smaller {}", Parameter::kExplainedTokens) : ""));
}

void explain_prompt(const GenerationRun& run, const std::string& prompt, const Sampling& sampling,
                    const std::vector<int32_t>& stop_tokens, const ExplainedModel& explained) {
  const std::vector<int32_t> prompt_tokens = explained.tokenizer.encode(prompt);
  std::vector<int32_t> tokens = text_to_explain(run, prompt_tokens, sampling, stop_tokens, explained.model);
  const size_t count = tokens.size();
  const std::vector<std::string> checkpoints =
      run.explain_steps ? RunFolder(run.run_name).checkpoints() : std::vector<std::string>();
  Explanation explanation(explained.tokenizer, std::move(tokens), prompt_tokens.size(), sampling,
                          std::max<size_t>(1, checkpoints.size()));
  if (run.explain_steps) {
    add_checkpoints(explanation, checkpoints, explained);
  } else {
    explanation.add_checkpoint(explained.model, explained.step);
  }
  explanation.add_cost(explained.model, explained.timing);
  const JsonValue data = explanation.json(facts_of(explained));
  const std::string text = is_page(run) ? explanation_page(data) : data.dump() + "\n";
  write_file_atomically(run.explain_file, text);
  print_status(fmt::format("{} explained in {}, {}\n", counted(count, "token"), run.explain_file,
                           bytes_text(text.size())));
}

}  // namespace hipgpt
