// A text of lower-case words, and the merges that HipGPT's tokenizer learns from it. merges_test.cpp compares
// them with Tokenizer::train.
#pragma once

#include <cstdint>
#include <utility>

namespace exercise {

constexpr const char* kMergesText =
    "the light of the moon and the light of the sun the greater light to rule the day and the lesser light "
    "to rule "
    "the night he made the stars also and there was light aaaaa aaaa";

constexpr std::pair<uint32_t, uint32_t> kMerges[] = {
    {71, 68},   {220, 83},  {257, 256}, {64, 64},   {70, 71},   {72, 260},  {220, 75},  {261, 83},
    {262, 263}, {220, 64},  {77, 67},   {265, 266}, {68, 81},   {75, 68},   {78, 69},   {81, 68},
    {81, 84},   {220, 76},  {220, 82},  {220, 259}, {220, 270}, {220, 272}, {257, 78},  {275, 259},
    {277, 269}, {64, 67},   {64, 81},   {64, 82},   {64, 83},   {64, 88},   {67, 285},  {68, 82},
    {70, 271},  {75, 82},   {77, 263},  {78, 77},   {78, 291},  {82, 268},  {83, 256},  {83, 282},
    {84, 77},   {86, 283},  {220, 256}, {220, 286}, {220, 288}, {220, 290}, {220, 297}, {258, 271},
    {262, 287}, {265, 289}, {273, 281}, {273, 292}, {274, 295}, {274, 296}, {279, 64},  {284, 268},
    {300, 311}, {304, 293}, {305, 78},  {306, 68},  {308, 82}};

}  // namespace exercise
