#include "explain/explanation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "error.h"
#include "explain/forward_trace.h"
#include "explain/next_token.h"
#include "explain/votes.h"
#include "model/log_probabilities.h"
#include "util/number_text.h"
#include "util/utf8_stream.h"

namespace hipgpt {

namespace {

using Json = JsonValue;

constexpr size_t kLensTokens = 5;     // of each place
constexpr size_t kLikeliest = 10;     // next tokens
constexpr size_t kVoted = 5;          // of these, with their votes
constexpr size_t kLargestOfRow = 16;  // attention weights of a row, if not all
constexpr double kDenseBytes = 2e6;   // of all attention weights, in JSON
constexpr double kUnit = 1e-4;        // of attention weights, which are written as whole numbers

/// A number with few digits: 0.0123 instead of 0.012345678901234.
Json rounded(double value, double per_unit = 1e4) {
  return std::round(value * per_unit) / per_unit + 0.0;  // not -0
}

/// The text of a token: a byte that is not part of UTF-8 is shown as \xNN.
std::string shown_text(std::string_view bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size();) {
    size_t length = 1;
    while (length < 4 && i + length < bytes.size() &&
           valid_utf8(bytes.substr(i, length)) != bytes.substr(i, length))
      ++length;
    const std::string_view character = bytes.substr(i, length);
    if (valid_utf8(character) == character) {
      text += character;
      i += length;
    } else {
      text += fmt::format("\\x{:02X}", static_cast<unsigned char>(bytes[i++]));
    }
  }
  return text;
}

/// What a head does with most tokens: the mean weight of one place it may look at.
struct Habit {
  const char* name;
  double share;
};

/// The largest mean, over the tokens that have three or more places to look at. A head without a place that
/// takes 30 % spreads out.
Habit habit_of(const std::vector<std::vector<double>>& weights) {
  constexpr double kClear = 0.3;
  Habit itself{"itself", 0.0}, before{"the one before", 0.0}, first{"the first", 0.0};
  const size_t T = weights.size();
  for (size_t i = 2; i < T; ++i) {
    const double share = 1.0 / static_cast<double>(T - 2);
    itself.share += weights[i][i] * share;
    before.share += weights[i][i - 1] * share;
    first.share += weights[i][0] * share;
  }
  const Habit best =
      std::max({itself, before, first}, [](const Habit& a, const Habit& b) { return a.share < b.share; });
  return best.share >= kClear ? best : Habit{"spread out", best.share};
}

/// All weights of a row, or pairs "position, weight" of its largest, in units of kUnit.
Json row_of(const std::vector<double>& row, bool dense) {
  const auto unit = [](double weight) { return Json(static_cast<int64_t>(std::lround(weight / kUnit))); };
  Json::Array out;
  if (dense) {
    for (const double weight : row) out.push_back(unit(weight));
    return out;
  }
  std::vector<size_t> order(row.size());
  for (size_t j = 0; j < order.size(); ++j) order[j] = j;
  std::ranges::stable_sort(order, std::greater{}, [&](size_t j) { return row[j]; });
  order.resize(std::min(order.size(), kLargestOfRow));
  std::ranges::sort(order);
  for (const size_t j : order) {
    if (row[j] < kUnit / 2) continue;
    out.push_back(j);
    out.push_back(unit(row[j]));
  }
  return out;
}

}  // namespace

Explanation::Explanation(const Tokenizer& tokenizer, std::vector<int32_t> tokens, size_t prompt_tokens,
                         const Sampling& sampling, size_t checkpoints)
    : tokenizer_(tokenizer),
      tokens_(std::move(tokens)),
      prompt_tokens_(prompt_tokens),
      sampling_(sampling),
      planned_(checkpoints),
      shown_(tokens_.begin(), tokens_.end()) {
  if (tokens_.size() > kMostExplained) {
    throw Error(fmt::format("{} are too many to explain: give at most {}", counted(tokens_.size(), "token"),
                            kMostExplained));
  }
}

void Explanation::add_checkpoint(const GPTModel& model, std::optional<int64_t> step) {
  const ModelConfig& c = model.config();
  const double T = static_cast<double>(tokens_.size());
  constexpr double kBytesPerWeight = 4.5;
  dense_ = static_cast<double>(planned_) * c.num_layers * c.num_heads * T * (T + 1) / 2 * kBytesPerWeight <=
           kDenseBytes;

  Json::Array lens;
  const ForwardTrace trace = trace_forward(model, tokens_, [&](const Rows& logits) {
    if (!std::ranges::all_of(logits.values, [](float z) { return std::isfinite(z); })) {
      throw Error("the model's logits are not finite: the model is broken, use another one");
    }
    lens.push_back(lens_of(logits));
  });
  places_.assign(trace.places.begin(), trace.places.end());
  Json checkpoint = {{"step", step ? Json(*step) : Json()}};
  checkpoint.set("lens", std::move(lens));
  checkpoint.set("heads", attention_of(trace, c));
  checkpoint.set("positions", positions_of(model, trace));
  checkpoints_.push_back(std::move(checkpoint));
}

/// The likeliest tokens after each token: [T] of [[id, probability], ...].
JsonValue Explanation::lens_of(const Rows& logits) {
  Json::Array columns;
  for (size_t t = 0; t < tokens_.size(); ++t) {
    Json::Array column;
    for (const ScoredToken& token :
         score_token(logits.row(static_cast<int64_t>(t)), 0, kLensTokens).likeliest) {
      shown_.insert(token.id);
      column.push_back(Json::Array{token.id, rounded(std::exp(token.logprob))});
    }
    columns.push_back(std::move(column));
  }
  return columns;
}

JsonValue Explanation::attention_of(const ForwardTrace& trace, const ModelConfig& config) const {
  Json::Array heads;
  for (size_t l = 0; l < trace.qkv.size(); ++l) {
    for (int64_t h = 0; h < config.num_heads; ++h) {
      const auto weights = attention_weights(trace.qkv[l], config.num_heads, h);
      const Habit habit = habit_of(weights);
      Json::Array rows;
      for (const auto& row : weights) rows.push_back(row_of(row, dense_));
      heads.push_back({{"layer", l},
                       {"head", h},
                       {"habit", habit.name},
                       {"share", rounded(habit.share)},
                       {"rows", std::move(rows)}});
    }
  }
  return heads;
}

JsonValue Explanation::positions_of(const GPTModel& model, const ForwardTrace& trace) {
  const VoteCounter counter(model, trace);
  parts_.assign(counter.names().begin(), counter.names().end());
  Json::Array positions;
  for (size_t t = 0; t < tokens_.size(); ++t) {
    const auto row = static_cast<int64_t>(t);
    const auto chances = token_chances(trace.logits.row(row), std::span(tokens_).first(t + 1), sampling_);
    std::vector<int32_t> voted;
    Json::Array likeliest, votes;
    for (size_t i = 0; i < std::min(kLikeliest, chances.size()); ++i) {
      const TokenChance& c = chances[i];
      shown_.insert(c.id);
      likeliest.push_back(Json::Array{c.id, rounded(c.logit), rounded(c.probability), rounded(c.drawn)});
      if (i < kVoted) voted.push_back(c.id);
    }
    Json position = {{"likeliest", std::move(likeliest)}};
    if (t + 1 < tokens_.size()) {
      const int32_t next = tokens_[t + 1];
      position.set("next_logprob", rounded(score_token(trace.logits.row(row), next, 0).chosen.logprob, 1e6));
      if (std::ranges::find(voted, next) == voted.end()) voted.push_back(next);
    }
    for (const int32_t id : voted) {
      const Votes sum = counter.count(row, id);
      position.set("mean_logit", rounded(sum.mean_logit));
      Json::Array parts;
      for (const double vote : sum.parts) parts.push_back(rounded(vote));
      votes.push_back({{"token", id},
                       {"logit", rounded(sum.logit)},
                       {"parts", std::move(parts)},
                       {"rounding", rounded(sum.rounding, 1e6)}});
    }
    position.set("votes", std::move(votes));
    positions.push_back(std::move(position));
  }
  return positions;
}

void Explanation::add_cost(const GPTModel& model, TimingDevice& timing) {
  const auto calls = time_forward(model, tokens_, timing);
  const auto labels = forward_labels(model.config());
  const Roofline roofline = measure_roofline(timing.device(), model.dtype());
  Json::Array operations;
  for (size_t i = 0; i < calls.size(); ++i) {
    const auto& [name, cost, seconds] = calls[i];
    operations.push_back({{"label", i < labels.size() ? labels[i] : name},
                          {"operation", name},
                          {"shapes", cost.shapes},
                          {"seconds", rounded(seconds, 1e9)},
                          {"flop", cost.flops},
                          {"bytes", cost.bytes},
                          {"roof", rounded(roofline.shortest(cost.flops, cost.bytes) / seconds)}});
  }
  cost_ = {{"flop_per_second", rounded(roofline.flops_per_second, 1.0)},
           {"bytes_per_second", rounded(roofline.bytes_per_second, 1.0)},
           {"operations", std::move(operations)}};
}

JsonValue Explanation::vocabulary() const {
  Json all = Json::Object();
  for (const int32_t id : shown_) all.set(std::to_string(id), shown_text(tokenizer_.token_bytes(id)));
  return all;
}

JsonValue Explanation::merges() const {
  Json all = Json::Object();
  for (const int32_t id : std::set<int32_t>(tokens_.begin(), tokens_.end())) {
    const std::string_view bytes = tokenizer_.token_bytes(id);
    std::vector<std::string_view> pieces;
    for (size_t i = 0; i < bytes.size(); ++i) pieces.push_back(bytes.substr(i, 1));
    Json::Array steps;
    for (const auto& [rank, at] : tokenizer_.merges_of(id)) {
      pieces[at] = bytes.substr(static_cast<size_t>(pieces[at].data() - bytes.data()),
                                pieces[at].size() + pieces[at + 1].size());
      pieces.erase(pieces.begin() + static_cast<ptrdiff_t>(at) + 1);
      Json::Array texts;
      for (const std::string_view piece : pieces) texts.push_back(shown_text(piece));
      steps.push_back({{"rank", rank}, {"at", at}, {"pieces", std::move(texts)}});
    }
    all.set(std::to_string(id), std::move(steps));
  }
  return all;
}

JsonValue Explanation::json(JsonValue model) const {
  size_t bytes = 0;
  for (const int32_t id : tokens_) bytes += tokenizer_.token_bytes(id).size();
  return {{"format", "hipgpt explanation"},
          {"version", 1},
          {"model", std::move(model)},
          {"tokens", tokens_},
          {"prompt_tokens", prompt_tokens_},
          {"bytes", bytes},
          {"vocabulary", vocabulary()},
          {"merges", merges()},
          {"sampling",
           {{"temperature", sampling_.temperature},
            {"top_k", sampling_.top_k},
            {"top_p", sampling_.top_p},
            {"repetition_penalty", sampling_.repetition_penalty}}},
          {"places", places_},
          {"parts", parts_},
          {"attention_unit", kUnit},
          {"attention_rows", dense_ ? "all" : "largest"},
          {"checkpoints", checkpoints_},
          {"cost", cost_}};
}

}  // namespace hipgpt
