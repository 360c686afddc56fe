#include "tokenizer/pipeline_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "error.h"
#include "tokenizer/json_members.h"

namespace hipgpt {
namespace {

using Json = JsonValue;

/// A regular expression that splits a text as a pretokenizer does. The first form of each is written to
/// files. `tokenizers` reads them by Oniguruma's rules, where $ is the end of a line and {1,3}+ has no upper
/// limit. $ makes no difference here, after all the white space that there is.
struct Expression {
  const Pretokenizer* pretokenizer;
  const char* text;
};
constexpr Expression kExpressions[] = {
    {&kGpt2Words, R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
    {&kGpt2Words, R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
    {&kGpt2Words, R"('(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s)"},
    {&kLlama3Words, R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
                    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {&kLlama3Words, R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}|)"
                    R"( ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)"},
    {&kQwen2Words, R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
                   R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {&kCl100kWords, R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
                    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s++$|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {&kO200kWords, R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
                   R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
                   R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
                   R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
                   R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
};

constexpr const char* kSupportedPretokenizers =
    "ByteLevel, Digits before it, and a Split by the regular expression of GPT-2, Llama 3, Qwen "
    "2, "
    "cl100k_base or o200k_base before it";

/// The steps of a part of the file. Parts may be nested in a Sequence, and a Sequence may be empty.
void append_steps(const Json& part, const char* list, std::vector<const Json*>& steps) {
  if (part.is_null()) return;
  if (part["type"] != "Sequence" || !part[list].is_array()) return steps.push_back(&part);
  for (const Json& step : part[list].items()) append_steps(step, list, steps);
}

std::vector<const Json*> steps_of(const Json& document, const char* key, const char* list) {
  std::vector<const Json*> steps;
  append_steps(document[key], list, steps);
  return steps;
}

bool is_type(const Json& step, const char* type) {
  return step["type"] == type;
}

/// Throws Error for a part of the file that HipGPT does not support; `reads` is what it supports.
[[noreturn]] void refuse_part(const char* key, const std::vector<const Json*>& steps, const char* reads) {
  std::string types;
  for (const Json* step : steps) {
    types += types.empty() ? "of type " : " and then ";
    const Json& type = (*step)["type"];
    types += type.is_string() ? type.as_string() : "unknown";
  }
  throw Error(fmt::format("\"{}\" is {}, which HipGPT does not support: it reads {}", key,
                          types.empty() ? "null" : types, reads));
}

Normalization read_normalization(const Json& document) {
  const auto steps = steps_of(document, "normalizer", "normalizers");
  if (steps.empty()) return Normalization::kNone;
  if (steps.size() == 1 && is_type(*steps[0], "NFC")) return Normalization::kNfc;
  if (steps.size() == 1 && is_type(*steps[0], "NFKC")) return Normalization::kNfkc;
  refuse_part("normalizer", steps, "null, NFC and NFKC");
}

/// Returns the pretokenizer that splits as this step does, or null.
const Pretokenizer* find_pretokenizer(const Json& split) {
  // Each expression matches every character, so it makes no difference which of the two sides is kept.
  const bool keeps_matches =
      split["behavior"] == "Isolated" || (split["behavior"] == "Removed" && split["invert"] == true);
  if (!is_type(split, "Split") || !keeps_matches) return nullptr;
  const Json& text = split["pattern"]["Regex"];
  const auto* found = std::ranges::find_if(kExpressions, [&](const auto& e) { return text == e.text; });
  return found == std::end(kExpressions) ? nullptr : found->pretokenizer;
}

void check_byte_level(const Json& step, bool use_regex) {
  if (member(step, "add_prefix_space") != false) throw Error("\"add_prefix_space\" should be false");
  const Json& value = step["use_regex"];
  if (value.is_null() ? !use_regex : value != use_regex)
    throw Error(fmt::format("\"use_regex\" should be {}", use_regex));
}

const Pretokenizer* read_pretokenizer(const Json& document) {
  member(document, "pre_tokenizer");
  const auto steps = steps_of(document, "pre_tokenizer", "pretokenizers");
  const Pretokenizer* splits = nullptr;
  if (!steps.empty() && steps.size() <= 2 && is_type(*steps.back(), "ByteLevel")) {
    const Json& first = *steps.front();
    if (steps.size() == 1) {
      splits = &kGpt2Words;
    } else if (is_type(first, "Digits") && first["individual_digits"].is_bool()) {
      splits = first["individual_digits"].as_bool() ? &kDigitsAndGpt2Words : &kNumbersAndGpt2Words;
    } else {
      splits = find_pretokenizer(first);
    }
  }
  if (splits == nullptr) refuse_part("pre_tokenizer", steps, kSupportedPretokenizers);
  check_byte_level(*steps.back(), !is_type(*steps.front(), "Split"));
  return splits;
}

/// What a post-processor does to the ids of one text.
enum class Template { kAddsNothing, kAddsTokens, kUnknown };

Template template_of(const Json& step) {
  if (is_type(step, "ByteLevel")) return Template::kAddsNothing;
  const Json& single = step["single"];
  if (!is_type(step, "TemplateProcessing") || !single.is_array()) return Template::kUnknown;
  const auto has = [](const char* key) {
    return [key](const Json& part) { return part.find(key) != nullptr; };
  };
  const auto texts = std::ranges::count_if(single.items(), has("Sequence"));
  const auto tokens = std::ranges::count_if(single.items(), has("SpecialToken"));
  if (texts != 1 || texts + tokens != static_cast<ptrdiff_t>(single.items().size()))
    return Template::kUnknown;
  return tokens == 0 ? Template::kAddsNothing : Template::kAddsTokens;
}

bool read_has_template(const Json& document) {
  const auto steps = steps_of(document, "post_processor", "processors");
  bool has_template = false;
  for (const Json* step : steps) {
    const Template kind = template_of(*step);
    if (kind == Template::kUnknown)
      refuse_part("post_processor", steps, "null, ByteLevel and templates of special tokens around a text");
    if (kind == Template::kAddsTokens) has_template = true;
  }
  return has_template;
}

bool read_ignore_merges(const Json& document) {
  const Json& model = member(document, "model");
  member(model, "vocab");
  const Json& type = model["type"];  // old files lack it
  if (!type.is_null() && type != "BPE")
    throw Error("\"model\" should be of type BPE: HipGPT supports only this");
  require_off(model, {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"});
  return !model["ignore_merges"].is_null() && bool_member(model, "ignore_merges");
}

}  // namespace

Pipeline read_pipeline(const Json& document) {
  if (member(document, "version") != "1.0") throw Error("\"version\" should be \"1.0\"");
  // Truncation and padding concern a batch, and transformers sets both in each call.
  Pipeline pipeline;
  pipeline.normalization = read_normalization(document);
  pipeline.pretokenizer = read_pretokenizer(document);
  pipeline.has_template = read_has_template(document);
  const auto decoders = steps_of(document, "decoder", "decoders");
  if (!std::ranges::all_of(decoders, [](const Json* step) { return is_type(*step, "ByteLevel"); }))
    refuse_part("decoder", decoders, "null and the type ByteLevel");
  pipeline.ignore_merges = read_ignore_merges(document);
  return pipeline;
}

PipelineJson to_json(const Pipeline& pipeline) {
  const auto byte_level = [](bool use_regex) {
    return fmt::format(
        R"({{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": {}}})",
        use_regex);
  };
  const auto sequence = [](const std::string& first, const std::string& second) {
    return fmt::format(R"({{"type": "Sequence", "pretokenizers": [
    {},
    {}
  ]}})",
                       first, second);
  };
  PipelineJson json{"null", byte_level(true), byte_level(true)};
  if (pipeline.normalization == Normalization::kNfc) json.normalizer = R"({"type": "NFC"})";
  if (pipeline.normalization == Normalization::kNfkc) json.normalizer = R"({"type": "NFKC"})";
  if (pipeline.pretokenizer == &kDigitsAndGpt2Words || pipeline.pretokenizer == &kNumbersAndGpt2Words) {
    const bool each = pipeline.pretokenizer == &kDigitsAndGpt2Words;
    json.pre_tokenizer =
        sequence(fmt::format(R"({{"type": "Digits", "individual_digits": {}}})", each), byte_level(true));
  } else if (pipeline.pretokenizer != &kGpt2Words) {
    const auto* expression =
        std::ranges::find(kExpressions, pipeline.pretokenizer, &Expression::pretokenizer);
    const std::string split = fmt::format(
        R"({{"type": "Split", "pattern": {{"Regex": {}}}, "behavior": "Isolated", "invert": false}})",
        json_quoted(expression->text));
    json.pre_tokenizer = sequence(split, byte_level(false));
  }
  return json;
}

}  // namespace hipgpt
