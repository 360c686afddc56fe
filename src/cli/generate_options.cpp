#include "cli/generate_options.h"

#include "cli/command_line.h"

namespace hipgpt {

bool parse_generate_options(int argc, char** argv, GenerationRun& run, int& exit_status) {
  CommandLine line("generate", "Continues a prompt with a model that train_gpt has trained.");
  Sampling& s = run.sampling;

  line.group("Text");
  CLI::Option* prompt = line.option("--prompt", run.prompt, "Text to continue");
  line.number("--num-tokens", run.num_tokens, 1, 1e9, "Tokens to generate")->capture_default_str();
  line.number("--eos-id", run.stop_token, -1, 1e9,
              "Stop at this token; -1: at <|endoftext|>, if there is one")
      ->capture_default_str();

  line.group("Sampling");
  line.number("--top-k", s.top_k, 0, 1e9, "Only the k likeliest tokens; 0: all")->capture_default_str();
  line.number("--top-p", s.top_p, 1e-9, 1.0, "Only the likeliest tokens that together reach p")
      ->capture_default_str();
  line.number("--temp", s.temperature, 0.0, 1e6, "Temperature; 0: always the likeliest")
      ->capture_default_str();
  line.number("--rep-penalty", s.repetition_penalty, 0.01, 100.0, "Against tokens seen before; 1: none")
      ->capture_default_str();
  line.number("--seed", run.seed, 0, 9007199254740992.0, "Same seed, same text (random)");

  line.group("Model");
  line.name("--run-name", run.run_name, "Use checkpoints/NAME/ (else gpt_checkpoint.bin)");
  line.number("--step", run.step, 0, 1e9, "The checkpoint of this step of a named run (the latest)");
  line.name("--ckpt", run.checkpoint, "Use this checkpoint, or folder of a Hugging Face model")
      ->excludes("--run-name")
      ->excludes("--step");
  line.name("--tokenizer", run.tokenizer, "Use this tokenizer file (the one beside the checkpoint)");
  line.device(run.device, run.threads);

  line.group("Export");
  CLI::Option* folder = line.name("--export", run.export_folder,
                                  "Write the model into this folder for Hugging Face's transformers");
  folder->excludes(prompt);
  line.require_one_of({prompt, folder});
  return line.parse(argc, argv, exit_status);
}

}  // namespace hipgpt
