// The AI SDK (npm install ai @ai-sdk/openai-compatible): node chat.mjs URL QUESTION
// Prints an answer as JSON: once whole, and once as it was streamed, thinking and text apart.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";

const [baseURL, prompt] = process.argv.slice(2);
const provider = createOpenAICompatible({ name: "tessy", baseURL, includeUsage: true });
const asked = { model: provider("tessy"), prompt, maxRetries: 0 };

const whole = await generateText(asked);
const stream = streamText(asked);
const streamed = { reasoning: [], text: [] };
for await (const part of stream.fullStream) {
  if (part.type === "reasoning-delta") streamed.reasoning.push(part.text);
  if (part.type === "text-delta") streamed.text.push(part.text);
  if (part.type === "error") throw part.error;
}
console.log(
  JSON.stringify({
    reasoning: whole.reasoningText,
    text: whole.text,
    usage: whole.usage,
    finish: await stream.finishReason,
    streamed,
    streamedUsage: await stream.usage,
  }),
);
