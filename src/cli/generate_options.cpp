#include "cli/generate_options.h"

#include <vector>

#include "cli/command_line.h"

namespace hipgpt {

namespace {

/// The tasks exclude each other.
void declare_task(CommandLine& line, GenerationRun& run) {
  line.group("What to do: at most one of these (without any, standard input is the prompt)");
  std::vector<Flag> tasks = {
      line.option("--prompt", run.prompt, "Continue this text"),
      line.name("--prompt-file", run.prompt_file, "Continue the text of this file (-: standard input)"),
      line.name("--prompts", run.prompts_file, "Continue every line of this file (-: standard input)"),
      line.flag("--interactive", run.interactive, "Continue every line that you type"),
      line.name("--perplexity", run.perplexity_file, "Measure how well the model predicts this text"),
      line.name("--export", run.export_folder, "Write the model here for Hugging Face's transformers")};
  for (Flag& task : tasks) {
    for (const Flag& other : tasks) {
      if (&task != &other) task.excludes(other);
    }
  }
}

}  // namespace

bool parse_generate_options(int argc, char** argv, GenerationRun& run, int& exit_status) {
  CommandLine line("generate", "Continues a prompt with a model trained by train_gpt.");
  Sampling& s = run.sampling;

  declare_task(line, run);

  line.group("Text");
  line.number("--num-tokens", run.num_tokens, 1, 1e9, "Tokens to generate").show_default();
  line.number("--eos-id", run.stop_token, -1, 1e9,
              "Stop at this token; -1: where the model says, else at <|endoftext|>")
      .show_default();
  line.number("--num-samples", run.num_samples, 1, 1e6, "Continuations per prompt").show_default();
  line.flag("--json", run.json, "One line of JSON for each sample, or for --perplexity");
  line.number("--logprobs", run.logprobs, 0, 1e9, "Log-probabilities of tokens, and of the N likeliest")
      .value_may_be_missing("0")
      .excludes("--perplexity");
  line.number("--stride", run.stride, 1, 1 << 20, "Tokens that a window of --perplexity scores (half of S)")
      .needs("--perplexity");

  line.group("Sampling");
  line.number("--top-k", s.top_k, 0, 1e9, "Only the k likeliest tokens; 0: all").show_default();
  line.number("--top-p", s.top_p, 1e-9, 1.0, "Only the likeliest tokens that together reach p")
      .show_default();
  line.number("--temp", s.temperature, 0.0, 1e6, "Temperature; 0: always the likeliest").show_default();
  line.number("--rep-penalty", s.repetition_penalty, 0.01, 100.0, "Penalty for tokens seen before; 1: none")
      .show_default();
  line.number("--seed", run.seed, 0, 9007199254740992.0, "Same seed, same text (random)");

  line.group("Model");
  line.name("--run-name", run.run_name, "Use checkpoints/NAME/ (else gpt_checkpoint.bin)");
  line.number("--step", run.step, 0, 1e9, "The checkpoint of this step of a named run (the latest)");
  line.name("--ckpt", run.checkpoint, "Use this checkpoint, or folder of a Hugging Face model")
      .excludes("--run-name")
      .excludes("--step");
  line.name("--tokenizer", run.tokenizer, "Use this tokenizer file (the one next to the checkpoint)");
  line.device(run.device, run.dtype);
  line.option("--weights", run.weights, "Store the matrices in this type; narrower is faster")
      .one_of({"fp32", "bf16", "int8"})
      .excludes("--export")
      .show_default();
  line.machine(run.threads, run.gpus);

  line.group("Explanation");
  line.name("--explain", run.explain_file,
            "Write what the model does with the prompt: a page (.html) or its data (.json)")
      .excludes("--weights")
      .excludes("--prompts")
      .excludes("--interactive")
      .excludes("--perplexity")
      .excludes("--export")
      .excludes("--num-tokens")
      .excludes("--num-samples")
      .excludes("--json")
      .excludes("--logprobs");
  line.number("--gen", run.explained_tokens, 0, 255, "Tokens to draw after the prompt and to explain too")
      .show_default()
      .needs("--explain");
  line.flag("--explain-steps", run.explain_steps, "Explain at every checkpoint of the named run")
      .excludes("--step");
  return line.parse(argc, argv, exit_status);
}

}  // namespace hipgpt
