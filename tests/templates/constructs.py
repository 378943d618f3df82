"""Templates of our own with the constructs of real ones; name → source.

`smollm` and `phi` are written after what SmolLM3's and Phi-4-reasoning's templates do, not copied.
"""

from __future__ import annotations

SMOLLM = r"""
{#- defaults -#}
{%- if enable_thinking is not defined -%}{%- set enable_thinking = true -%}{%- endif -%}
{%- if enable_thinking -%}
  {%- set mode = "/think" -%}
{%- else -%}
  {%- set mode = "/no_think" -%}
{%- endif -%}
{{- "<|im_start|>system\n" -}}
{%- if messages[0].role == "system" -%}
  {%- set system_message = messages[0].content -%}
  {%- if "/no_think" in system_message -%}
    {%- set mode = "/no_think" -%}
  {%- elif "/think" in system_message -%}
    {%- set mode = "/think" -%}
  {%- endif -%}
  {%- set without = system_message.replace("/no_think", "").replace("/think", "") -%}
  {%- set custom_instructions = without.rstrip() -%}
{%- endif -%}
{%- if "/system_override" in system_message -%}
  {{- custom_instructions.replace("/system_override", "").rstrip() -}}
{%- else -%}
  {{- "## Metadata\n\n" -}}
  {%- set today = strftime_now("%d %B %Y") -%}
  {{- "Today Date: " ~ today ~ "\n" -}}
  {{- "Reasoning Mode: " + mode + "\n\n" -}}
  {%- if custom_instructions -%}
    {{- "## Custom Instructions\n\n" + custom_instructions + "\n\n" -}}
  {%- elif mode == "/think" -%}
    {{- "You are a helpful assistant.\n\n" -}}
  {%- endif -%}
  {%- if xml_tools or python_tools or tools is not none -%}
    {{- "### Tools\n\n" -}}
    {%- for tool in (xml_tools or []) %}{{- tool | tojson -}}{{ "\n" }}{%- endfor -%}
  {%- endif -%}
{%- endif -%}
{{- "<|im_end|>\n" -}}
{%- for message in messages -%}
  {%- set content = message.content if message.content is string else "" -%}
  {%- if message.role == "user" -%}
    {{ "<|im_start|>" + message.role + "\n" + content + "<|im_end|>\n" }}
  {%- elif message.role == "assistant" -%}
    {%- generation -%}
    {%- if mode == "/think" -%}
      {{ "<|im_start|>assistant\n" + content.lstrip("\n") + "<|im_end|>\n" }}
    {%- else -%}
      {{ "<|im_start|>assistant\n" + "<think>\n\n</think>\n" + content.lstrip("\n") }}
      {{- "<|im_end|>\n" }}
    {%- endif -%}
    {%- endgeneration -%}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ "<|im_start|>assistant\n" }}{%- endif -%}
"""

PHI = (
    "<|im_start|>system<|im_sep|>You are Phi. Think first, between <think> and </think>."
    "{% if messages[0]['role'] == 'system' %}{{ '\\n\\n' + messages[0]['content'] }}{% endif %}"
    "<|im_end|>{% for message in messages %}{% if (message['role'] == 'user') %}"
    "{{'<|im_start|>user<|im_sep|>' + message['content'] + '<|im_end|>'}}"
    "{% elif (message['role'] == 'assistant') %}{{'<|im_start|>assistant<|im_sep|>'}}"
    "{% generation %}{{message['content'] + '<|im_end|>'}}{% endgeneration %}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}"
)

OLD_THINKING = r"""
{%- set last = namespace(query=-1) -%}
{%- for m in messages[::-1] -%}
  {%- if m.role == 'user' -%}
    {%- set last.query = messages|length - 1 - loop.index0 -%}{%- break -%}
  {%- endif -%}
{%- endfor -%}
{%- for m in messages -%}
  {%- if m.role == 'system' -%}[SYS]{{ m.content | trim }}[/SYS]{%- continue -%}{%- endif -%}
  {%- if loop.previtem is defined and loop.previtem.role == m.role -%}
    {{- raise_exception('two turns of ' ~ m.role) -}}
  {%- endif -%}
  {%- if m.role == 'assistant' -%}
    {%- if m.reasoning_content is defined and m.reasoning_content -%}
      {%- set thought, said = m.reasoning_content, m.content -%}
    {%- elif '</think>' in m.content -%}
      {%- set thought = m.content.split('</think>')[0].split('<think>')[-1].strip('\n') -%}
      {%- set said = m.content.split('</think>')[-1].lstrip('\n') -%}
    {%- else -%}
      {%- set thought, said = '', m.content -%}
    {%- endif -%}
    <assistant>
    {%- if thought and loop.index0 > last.query -%}
      {{- '<think>\n' ~ thought ~ '\n</think>\n\n' }}
    {%- endif -%}
    {{- said }}</assistant>
  {%- else -%}
    <user>{{ m['content'] }}</user>
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt %}<assistant>{% endif -%}
"""

LOOKS_AT_TEXT = r"""
{%- macro shown(m) -%}
  {%- set text = m.content.strip() -%}
  {%- if text.startswith('<tool_response>') and text.endswith('</tool_response>') -%}T:{%- endif -%}
  {%- if '<think>' in text and '</think>' in text -%}H:{%- endif -%}
  {%- if text|length > 20 -%}L:{%- endif -%}
  {%- if text[0] in 'ABCDEFGHIJKLMNOPQRSTUVWXYZ' -%}U:{%- endif -%}
  {%- if text.split()|length == 1 -%}1:{%- endif -%}
  {%- if text == text|upper -%}={% endif -%}
  {{- text -}}
{%- endmacro -%}
{%- set ns = namespace(head='', first=true) -%}
{%- for m in messages -%}
  {%- if m.role == 'system' -%}{%- set ns.head = m.content ~ '\n\n' -%}
  {%- else -%}
    {{- '<' + m.role + '>' -}}
    {%- if ns.first -%}{{ ns.head }}{%- set ns.first = false -%}{%- endif -%}
    {%- set block -%}{{ shown(m) }}{%- endset -%}
    {{- block -}}
    {%- call(x) wrap() -%}{{ x }}{%- endcall -%}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt %}<assistant><think>
{% endif -%}
""".replace(
    "{%- set ns =", "{%- macro wrap() -%}{{ caller('</end>') }}{%- endmacro -%}{%- set ns ="
)

CONSTRUCTS = {
    "smollm": SMOLLM,
    "phi": PHI,
    "old-thinking": OLD_THINKING,
    "looks-at-text": LOOKS_AT_TEXT,
}
