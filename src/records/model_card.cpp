#include "records/model_card.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "records/markdown.h"
#include "records/report.h"
#include "util/files.h"
#include "util/number_text.h"

namespace hipgpt {

namespace {

std::string file_name(const JsonValue& path) {
  return path.is_string() ? std::filesystem::path(path.as_string()).filename().string() : "";
}

/// Returns the names of the training data, without folders.
JsonValue::Array data_names(const JsonValue& paths) {
  JsonValue::Array names;
  if (paths.is_array()) {
    for (const JsonValue& path : paths.items()) names.emplace_back(file_name(path));
  }
  return names;
}

/// The block in YAML at the top. JSON's strings and numbers are YAML too.
std::string metadata(const CardFacts& facts, const JsonValue::Array& data) {
  std::string out =
      "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- gpt2\n- hipgpt\n";
  if (!facts.history.val_loss.empty()) {
    const std::string text = data.empty() ? "text" : data.front().as_string();
    out += fmt::format(
        "model-index:\n- name: {}\n  results:\n  - task:\n      type: text-generation\n"
        "    dataset:\n      name: {}\n      type: text\n"
        "    metrics:\n    - type: perplexity\n      value: {:.6g}\n",
        json_quoted(facts.name), json_quoted(text), std::exp(facts.history.val_loss.back().value));
  }
  return out + "---\n";
}

std::string origin(const CardFacts& facts) {
  if (!facts.step) return "It was converted by HipGPT from a folder in Hugging Face's format.";
  const RunFlags flags = facts.history.flags();
  const auto from = flags.find("init-from");
  std::string start = "HipGPT trained it from random weights";
  if (from != flags.end() && !from->second.empty())
    start = fmt::format("HipGPT trained the model in the folder {} further",
                        markdown::escaped(file_name(from->second.front())));
  return fmt::format("{}; these are the weights after step {}.", start, grouped(*facts.step));
}

std::string loss_row(const char* name, const std::vector<RunHistory::Point>& points) {
  if (points.empty()) return "";
  const double loss = points.back().value;
  return markdown::table_row(name, fmt::format("{:.4f} (perplexity {:.1f}) at step {}", loss, std::exp(loss),
                                               grouped(points.back().step)));
}

std::string results(const RunHistory& history) {
  const std::string rows =
      loss_row("validation loss", history.val_loss) + loss_row("training loss, of one batch", history.loss);
  return rows.empty() ? "" : "\n## Results\n" + markdown::table_head("result", "nats per token") + rows;
}

std::string limits(const CardFacts& facts, const JsonValue::Array& data) {
  std::string names;
  for (const JsonValue& name : data) names += (names.empty() ? ": " : ", ") + name.as_string();
  return fmt::format(
      "\n## Limits\n\n"
      "- It sees the last {} tokens of a text, and nothing before them.\n"
      "- It continues texts in the manner of those it was trained on{}. It follows no instructions, and it "
      "may\n"
      "  repeat what is private, false or offensive in them.\n"
      "- A loss is the mean over the tokens of its own vocabulary of {}. Compare it with a model of another\n"
      "  vocabulary by bits per byte only.\n",
      grouped(facts.config.max_seq_len), markdown::escaped(names), counted(facts.config.vocab_size, "token"));
}

constexpr const char* kAddedEnd =
    "- It was trained without a token that ends a text. Other programs need one, so the export added\n"
    "  `<|endoftext|>`, whose row is the mean of all rows. The model almost never writes it.\n";

/// {} is a number of tokens that fits in the context after the prompt.
constexpr const char* kUse = R"(
## Use

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # the folder of this file
model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
inputs = tokenizer("The ", return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens={}, do_sample=True)[0]))
```
)";

constexpr const char* kBeforePublishing = R"(
## Before you publish it

Say where the data come from and what may be done with them. Add `license` and `language` to the block at the top of this
file. A later export to this folder keeps what you wrote.
)";

}  // namespace

RunHistory history_beside(const std::string& checkpoint, const ModelConfig& config, int64_t step) {
  RunHistory history = read_history(folder_of(checkpoint) + "/metrics.jsonl");
  const JsonValue& run = history.run;
  const bool same = run["vocab_size"] == config.vocab_size && run["seq"] == config.max_seq_len &&
                    run["dim"] == config.embed_dim && run["heads"] == config.num_heads &&
                    run["layers"] == config.num_layers && run["ff"] == config.ff_hidden_dim;
  const auto cut = [step](auto& points) {
    std::erase_if(points, [&](const auto& p) { return p.step > step; });
  };
  if (!same || (run["steps"].is_count() && run["steps"].as_whole() < step)) return {};
  cut(history.loss);
  cut(history.val_loss);
  return history;
}

std::string model_card(const CardFacts& facts) {
  RunHistory history = facts.history;
  const JsonValue::Array data = data_names(history.run["data"]);
  history.run.set("data", data);
  history.run.set("val_data", data_names(history.run["val_data"]));
  history.run.set("command", JsonValue());
  std::string out = metadata(facts, data);
  out += fmt::format("\n# {}\n\nA language model of GPT-2's kind with {} parameters. {}\n",
                     markdown::escaped(facts.name), grouped(facts.config.parameter_count()), origin(facts));
  out += fmt::format(kUse, std::clamp(facts.config.max_seq_len / 2, 1, 50));
  out += results(history);
  if (history.run["parameters"].is_count()) out += description_markdown(history.run);
  out += limits(facts, data);
  if (facts.added_end) out += kAddedEnd;
  return out + kBeforePublishing;
}

}  // namespace hipgpt
