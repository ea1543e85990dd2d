#!/usr/bin/env python3
"""Expected texts of tests/golden/test_chat_jinja.c: python make.py > cases.json

Renders the templates below, all written for this test, by Jinja as the transformers library sets it up.
Made with transformers 4.57.6 and jinja2 3.1.6. A template that Jinja refuses is kept with "out": null.
"""
import datetime, json
import transformers.utils.chat_template_utils as chat

class Fixed(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 11, 23, 13, 5, 9)

chat.datetime = Fixed

TALK = [["system", "You are terse."], ["user", "  Hi, \"you\"\n"], ["assistant", "<think>\nhm\n</think>\n\nHello."], ["user", "Größe 日本 😀"]]

# Whole templates with the constructs of published families, none of their text.
FAMILIES = {
    "plain markers": "{% for m in messages %}{{'<|' + m['role'] + '|>' + m['content'] + eos_token + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|bot|>\\n' }}{% endif %}",
    "default system": """{%- if messages[0]['role'] == 'system' -%}
    {%- set system = messages[0]['content'] | trim -%}
    {%- set rest = messages[1:] -%}
{%- else -%}
    {%- set system = 'Be good.' -%}
    {%- set rest = messages -%}
{%- endif -%}
{{ bos_token }}[SYS]{{ system }}[/SYS]
{% for m in rest %}
    {%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Roles must take turns, user first!') }}
    {%- endif %}
    {%- if m.role == 'user' %}
        {{- '[Q] ' ~ m.content.strip() ~ ' [/Q]' }}
    {%- elif m.role == 'assistant' %}
        {{- ' ' + m.content | trim + ' ' + eos_token }}
    {%- else %}
        {{- raise_exception('Only user and assistant, not ' ~ m.role) }}
    {%- endif %}
{%- endfor %}
""",
    "namespace and reverse": """{%- set ns = namespace(last=messages|length - 1, found=false, system='') -%}
{%- for m in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if not ns.found and m.role == "user" and m.content is string and not (m.content.startswith('<tool>') and m.content.endswith('</tool>')) %}
        {%- set ns.found = true %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for m in messages %}
    {%- if m.role == 'assistant' %}
        {%- set thought = '' %}
        {%- set said = m.content %}
        {%- if m.thought is defined and m.thought is not none %}
            {%- set thought = m.thought %}
        {%- elif '</think>' in m.content %}
            {%- set said = m.content.split('</think>')[-1].lstrip('\\n') %}
            {%- set thought = m.content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<' + m.role + '>' }}
        {%- if loop.last or (not loop.last and thought and loop.index0 > ns.last) %}[{{ thought }}]{% endif -%}
        {{- said + '</end>\\n' }}
    {%- else %}
        {{- '<' + m.role + '>' + m.content + '</end>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<assistant>' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- 'no' }}{% endif %}
{%- endif %}
""",
    "macro and date": """{{- bos_token }}
{%- if custom_tools is defined %}{% set tools = custom_tools %}{% endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}{% set tools = none %}{% endif %}
{%- macro head(role, end='#') -%}
<{{ role | upper }}>{{ end }}
{%- endmacro -%}
{#- a comment
    of two lines -#}
Today: {{ date_string }}
{% if tools is not none %}tools: {{ tools | tojson(indent=2) }}{% endif %}
{%- for m in messages if m.role != 'system' %}
    {{- head(m.role) + m.content | trim + head('end', end='') }}
{% endfor %}
{%- if add_generation_prompt %}{{ head(role='assistant') }}{% endif %}
""",
    "content blocks": """{%- set first = "" -%}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}{%- set first = messages[0]['content'] + '

' -%}
    {%- else -%}{%- set first = messages[0]['content'][0]['text'] + '

' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}{%- set loop_messages = messages -%}
{%- endif -%}
{%- for m in loop_messages -%}
    {%- if (m['role'] == 'assistant') -%}{%- set role = "model" -%}{%- else -%}{%- set role = m['role'] -%}{%- endif -%}
    {{ '<turn>' + role + '
' + (first if loop.first else "") }}
    {%- if m['content'] is string -%}
        {{ m['content'] | trim }}
    {%- elif m['content'] is iterable -%}
        {%- for item in m['content'] -%}{{ item['text'] | trim }}{%- endfor -%}
    {%- else -%}{{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '</turn>
' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{'<turn>model
'}}{%- endif -%}
""",
    "generation block": "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}\n{% endgeneration %}{% else %}{{ m.content }}\n{% endif %}{% endfor %}",
    "select and map": "{% set users = messages | selectattr('role', 'equalto', 'user') | list %}{{ users | length }}: {{ users | map(attribute='content') | map('trim') | join(' / ') }}; {{ messages | rejectattr('role', 'in', ['user', 'system']) | map(attribute='role') | list }}",
    "lstrip and trim": "a\n  {% if true %}\n  b\n  {%+ if true %}\n  c\n  {% endif %}\n  {{ 1 }}\n  {# gone #}\n  {% endif +%}\n  d  {%- if true -%}  \n e \n {%- endif %}\n\n\nf {{- ' g ' -}} \n h\n\n",
    "raw": "x {% raw %} {{ y }} {% if %} {# #} \n{% endraw %}\nz\n  {%- raw -%}  {{ a }}  {%- endraw -%}  b",
}

EXPRESSIONS = r"""
1 + 2 * 3 - 4
(1, 2) + (3,)
()
7 // 2, -7 // 2, 7 % 3, -7 % 3, 7 % -3
7 / 2, 1 / 3, 4 / 2, 2 ** 10, 2 ** -1, -2 ** 2
1.0, 0.1, 1e16, 1e15, 123456789.125, 1e-4, 1e-5, 2.5e300, 0.1 + 0.2
'a' ~ 1 ~ none ~ true ~ 2.5 ~ nothing
'a' * 3, 2 * 'xy', 'q' * -1
[1, 'a', "it's", 'say "x"', 'b\\n\n\t', none, true, 1.5, [], {}, (1,), 'é日\x07', '\u200b', '😀']
{'a': 1, 'b': [1, 2], 3: 'c'}
'a' in 'abc', 'd' not in 'abc', 1 in [1, 2], 'k' in {'k': 0}, 2 in (1, 3), 'x' in nothing
1 < 2 < 3, 1 < 3 < 2, 1 == 1.0, true == 1, 'a' < 'b', [1, 2] < [1, 3], 'Z' < 'a', 1 != 2, 3 >= 3, 2 <= 1
[1, 2] == [1, 2], [1] == (1,), {'a': 1} == {'a': 1.0}, none == nothing, nothing == nothing, 'a' == 1
not 1, not '', not nothing, not [], not {}, not none, not 0.0
'' or 'x', 'a' and 'b', 0 and 1, none or 0, false or nothing
'yes' if 1 else 'no', ('yes' if 0), 'a' if false else 'b' if false else 'c'
messages[0].role, messages[-1]['role'], messages[9], messages[0].nope, messages[0]['nope'] is defined
messages[0].content[0], messages[3].content[-1], messages[3].content[0:5], messages[3].content[::-1], 'abc'[5]
'abcdef'[1:4], 'abcdef'[:-2], 'abcdef'[-2:], 'abcdef'[::2], 'abcdef'[4:1:-1], 'abcdef'[10:], 'abcdef'[-10:2]
[1, 2, 3, 4][1:3], [1, 2, 3][::-1], (1, 2, 3)[:2], range(5)[1:3] | list, [1, 2][5:], [][::-1]
'abc'['x'], {'a': 1}[['q']], none.x, {'a': {'b': 2}}.a.b, {'items': 1}.items is callable, {'items': 1}['items']
[10, 20].1, 'a.b'.split('.').0, [[1, 2], [3]][0][1]
'  x '.strip() ~ '|', 'xxabxx'.strip('x'), '  a '.lstrip() ~ '|', ' a  '.rstrip() ~ '|', 'abcb'.rstrip('bc'), '\u3000a\xa0'.strip()
'a,b,,c'.split(','), 'a b  c '.split(), ' a b  c '.split(none, 1), 'a,b,c'.split(',', 1), ''.split(), ''.split(','), 'aXXbXXc'.split('XX')
'a,b,c'.rsplit(',', 1), 'aaa'.split('a'), 'aaaa'.rsplit('aa'), 'a b c'.rsplit()
'abc'.startswith('ab'), 'abc'.startswith(('x', 'a')), 'abc'.endswith('bc'), 'abc'.endswith(''), 'a'.startswith('abc')
'abc'.upper(), 'ÀÉ日x'.lower(), 'straße'.lower(), 'hello wORLD it\'s'.title(), 'hELLO'.capitalize(), 'éa'.upper()
'a-b-c'.replace('-', '+'), 'aaa'.replace('a', 'b', 2), 'abc'.replace('', '.'), 'abab'.replace('ab', '')
', '.join(['a', 'b']), '-'.join('abc'), 'banana'.count('an'), 'banana'.find('na'), 'é日b'.find('b'), 'a'.find('z')
'prefix-x'.removeprefix('prefix-'), 'x.py'.removesuffix('.py')
{'a': 1, 'b': 2}.items() | list, {'a': 1}.keys() | list, {'a': 1}.values() | list, {'a': 1}.get('a'), {'a': 1}.get('b'), {'a': 1}.get('b', 9)
' a ' | trim ~ '|', 'xax' | trim('x'), 5 | trim, none | trim
'日本' | length, [1, 2] | length, {'a': 1} | count, nothing | length, 'abc' | list, {'a': 1} | list
[1, 2] | join, [1, none, 'x', nothing] | join('-'), 'abc' | join('.'), [{'a': 1}, {'a': 2}] | join('+', attribute='a')
{'a': [1, 2.5, true, none, 'é"\\\n\x01']} | tojson, [] | tojson, {} | tojson, 'x' | tojson, (1, 2) | tojson
{'a': [1, {'b': 2}], 'c': {}, 'd': []} | tojson(indent=2)
{'a': 1, 1: 'b', none: true} | tojson(separators=(',', ':')), ['é', '😀'] | tojson(ensure_ascii=true), [1, [2]] | tojson(indent='>')
'abC' | upper, 'abC' | lower, 'abC dEF' | capitalize, 'abC dEF-g (h' | title
nothing | default('d'), none | default('d'), '' | default('d'), '' | default('d', true), nothing | d, 0 | default(7, boolean=true)
[3, 1, 2] | first, [3, 1, 2] | last, [] | first, 'abc' | first, 'abc' | last, {'k': 1} | first, range(4) | last
'abc' | reverse, [1, 2, 3] | reverse | list, (1, 2) | reverse | list
'12' | int, ' 12.7 ' | int, 'x' | int, 'x' | int(5), 3.9 | int, -3.9 | int, none | int, '1e3' | int, true | int, '' | int, '-4' | int
'1.5' | float, 'x' | float, 3 | float, 'x' | float(2.5), -3 | abs, 2.5 | abs
[1, 2] | string, 'a' | string, none | string, {'a': nothing} | string
'aXbX' | replace('X', 'y'), 121 | replace(1, 3), 'aaa' | replace('a', 'b', count=1)
{'a': 1, 'b': 2} | items | list, nothing | items | list
[1, 2, 3, 4] | select('odd') | list, [1, 0, 2] | select | list, [1, 0] | reject | list, [1, 2, 3] | reject('even') | list, [1, 5] | select('gt', 3) | list
['a', 'B'] | map('upper') | list, [' a'] | map('trim') | map('length') | list, [[1, 2], [3]] | map('join', '-') | list, [{'a': {'b': 1}}, {'a': {}}] | map(attribute='a.b', default=0) | list
[{'r': 'x', 'n': 1}, {'n': 2}] | selectattr('r') | map(attribute='n') | list, [{'r': 1}, {'s': 2}] | selectattr('r', 'defined') | list, [{'r': 1}, {'s': 2}] | rejectattr('r', 'defined') | list
nothing is defined, messages is defined, nothing is undefined, none is none, 0 is none, none is not none, tools is none, documents is none
true is boolean, 1 is boolean, true is true, false is false, 1 is true, 1 is integer, true is integer, 1.0 is float, true is number, '1' is number
'a' is string, 1 is string, {} is mapping, [] is mapping, [] is iterable, 'a' is iterable, 1 is iterable, none is iterable, {} is iterable, nothing is iterable
[] is sequence, 'a' is sequence, {} is sequence, 1 is sequence, (1,) is sequence, {}.items() is sequence, nothing is sequence, range(2) is sequence
3 is odd, -3 is odd, 4 is even, 9 is divisibleby 3, 9 is divisibleby(2), 1 is in [1, 2], 1 is eq 1, 1 is ne 1, 1 is lt 2, 2 is ge 3, 'a' is equalto 'a'
raise_exception is callable, 1 is callable, 'a'.strip is callable
'a' is defined and 1 is odd or false, not 1 is odd, 1 is not odd
range(3) | list, range(1, 4) | list, range(5, 0, -2) | list, range(0) | list, range(3) | length
namespace(a=1).a, namespace({'b': 2}).b, namespace().c is defined, namespace(a=1)['a']
dict(a=1, b=2), dict({'x': 1}, y=2)
strftime_now('%Y-%m-%d %H:%M:%S'), strftime_now('%d %b %Y %% %A %B %j %p %I %y')
"a\tb\\c\"d'\x41\u00e9\U0001F600\101\q", 'one' 'two' "three", 'a\
b'
- 3 | abs, -[1, 2] | length if false else 4, +2, 1 - -1
[1, 2,], {'a': 1,}, (1,), [ [ ] ]
{'a': {'b': {}}}, [{}, {}]
'A' + 'B' if true else 'C', ('A' + 'B') * 2, 'a' 'b' * 2
messages | map(attribute='role') | join(',') | upper
(messages | last).content | trim | length
[1, 2, 3][-1:] + [4], [[1, 2][0], 3]
[1, 2] is eq [1, 2], ([1] | first) is number, 'x' is in 'xyz'
true and 'x' in ['x'] and not false, 1 in [1] == true
1 if 2 > 1 and 3 > 2 else 0, (1 if none else 2) + 1
bos_token + eos_token, bos_token is defined, pad is defined, add_generation_prompt
'x' | safe ~ '<', ('a<b' | safe) | length, 'x' | safe == 'x'
loop is defined, [messages | length, messages[1:] | length]
"""

STATEMENTS = [
    "{% for i in [1, 2, 3] %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{{ loop.revindex0 }} {% endfor %}",
    "{% for i in [1, 2, 3, 4] if i is even %}{{ i }}{{ loop.index }}{{ loop.last }}{{ loop.length }} {% else %}none{% endfor %}",
    "{% for i in [] %}x{% else %}empty{% endfor %}{% for i in nothing %}x{% else %}empty{% endfor %}{% for i in [1] if false %}x{% else %}filtered{% endfor %}",
    "{% for i in 'ab' %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }};{% endfor %}",
    "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }},{% endfor %}{% for k in {'x': 1} %}{{ k }}{% endfor %}{% for (a, b) in [[1, 2]] %}{{ a + b }}{% endfor %}",
    "{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}{% for i in [1] %}{% break %}{% else %}no{% endfor %}",
    "{% for i in [1, 2] %}{% for j in [1, 2] %}{{ i }}{{ j }}{{ loop.index }}{{ loop.depth }} {% endfor %}{{ loop.index }}{% endfor %}",
    "{% for i in [1, 2, 3] %}{{ loop.cycle('a', 'b') }}{{ loop.changed(i > 1) }} {% endfor %}",
    "{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = x + 1 %}{{ x }} {% endfor %}{{ x }}",
    "{% for i in [1, 2] %}{{ y }}{% set y = i %}{{ y }} {% endfor %}{{ y is defined }}",
    "{% set ns = namespace(n=0) %}{% for i in [1, 2, 3] %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}{% set ns.new = 'x' %}{{ ns.new }}",
    "{% set ns = namespace(go=true) %}{% for i in [1, 2, 3] if ns.go %}{{ i }}{% if i == 2 %}{% set ns.go = false %}{% endif %}{% endfor %}",
    "{% set ns = namespace(go=true) %}{% for i in [1, 2, 3] if ns.go %}{{ i }}{{ loop.last }}{% set ns.go = false %}{% endfor %}",
    "{% if true %}{% set x = 1 %}{% endif %}{{ x }}{% if false %}{% set z = 1 %}{% endif %}{{ z is defined }}",
    "{% set a, b = 1, 2 %}{{ b }}{{ a }}{% set c = 1, 2 %}{{ c }}{% set (d, e) = [3, 4] %}{{ d }}",
    "{% set x %}a{{ 1 + 1 }}\n{% set inner = 3 %}b{% endset %}[{{ x }}]{{ inner is defined }}",
    "{% macro f(a, b=2, c='z') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }} {{ f(1, 3) }} {{ f(1, c='y') }} {{ f(b=0, a=9) }} {{ f() }}",
    "{% set out = 'o' %}{% macro f() %}{{ out }}{% set out = 'i' %}{{ out }}{% endmacro %}{{ f() }}{{ out }}{% set out = 'p' %}{{ f() }}",
    "{% macro fact(n) %}{% if n > 1 %}{{ n * (fact(n - 1) | int) }}{% else %}1{% endif %}{% endmacro %}{{ fact(10) }}",
    "{% macro f(x) %}[{{ x }}]{% endmacro %}{% for m in messages %}{{ f(m.role) }}{% endfor %}{{ f(f('n')) | length }}",
    "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}",
    "{% with a = 1, b = 2 %}{{ a + b }}{% set c = 3 %}{% endwith %}{{ a is defined }}{{ c is defined }}{% set q = 1 %}{% with q = q + 1, r = q %}{{ q }}{{ r }}{% endwith %}{{ q }}",
    "{% generation %}{% set g = 1 %}{{ g }}{% endgeneration %}{{ g is defined }}",
    "{% set it = [1, 2, 3] | map('string') %}{{ it | list }}{{ it | list }}{% set s = [1, 2] | select %}{{ s | first }}{% for x in s %}<{{ x }}>{% endfor %}",
    "{% if 0 %}a{% elif 1 %}b{% else %}c{% endif %}{% if 0 %}a{% elif 0 %}b{% else %}c{% endif %}{% if 1: %}d{% endif %}",
    "{% if messages and messages[0].role == 'system' %}{{ messages.0.content }}{% endif %}",
    "{%if 1%}x{%endif%}{{1}}{{-2-}}{{ {'a':{'b':1}}.a.b }}{{ '}}' }}{{ '%}' }}{% set s = '#}' %}{{ s }}{# {{ no }} #}",
    "{# a #}\n{#- b -#}\n c {#+ d +#}\n e",
    "  {% if true %}\n  x\n  {% endif %}\n  y",
    "\n\n{%- if true %}\n\n  x{% endif -%}\n\n y\n",
    "a\r\nb{{ 'c\r\nd' }}\r\n",
    "  {{ 1 }}  {% set x = 1 %}  {# #}  {%+ set y = 2 %} .",
    "{% for m in messages %}\n  {% if loop.first %}\n    {{- m.role }}\n  {% endif %}\n{% endfor %}\nend",
    "{{ true }}{{ True }}{{ none }}{{ None }}{{ nothing }}{{ 1.0 }}{{ [] }}",
    "{{ 1, 2 }}{% for x in 1, 2 %}{{ x }}{% endfor %}",
    "{{ messages[0] }}",
    "{{ messages | tojson }}",
    "{% raw %}{% endraw %}{% raw -%} a {%- endraw %}{%- raw %} b {% endraw -%} c",
]

REFUSED_BY_JINJA = [
    "{{ raise_exception('no') }}", "{{ nothing.x }}", "{{ nothing['x'] }}", "{{ nothing + 1 }}", "{{ nothing() }}", "{{ nothing < 1 }}", "{{ 1 + 'a' }}",
    "{{ 'a' + 1 }}", "{{ none + 'a' }}", "{{ 1 / 0 }}", "{{ 1 // 0 }}", "{{ 1 % 0 }}", "{{ 1 < 'a' }}", "{{ 1 in 'a' }}", "{{ 1 in 1 }}", "{{ none | length }}",
    "{% for x in 1 %}{% endfor %}", "{% for x in none %}{% endfor %}", "{% for a, b in [[1]] %}{% endfor %}", "{% set a, b = [1, 2, 3] %}", "{{ 'a'() }}",
    "{{ [1][::0] }}", "{{ 'a'.split('') }}", "{{ ','.join([1]) }}", "{{ range(200000) }}", "{{ range(1, 2, 0) }}", "{% set x = {} %}{% set x.a = 1 %}",
    "{{ {[]: 1} }}", "{{ nothing | tojson }}", "{{ [1] | map('x') | list }}", "{{ 1 | nope }}", "{{ 1 is nope }}", "{% nope %}", "{% if 1 %}", "{% endif %}",
    "{% for x in y %}{% endif %}", "{{ 1", "{% if", "{# x", "{% raw %} x", "{{ 'a }}", "{{ }}", "{{ 1 + }}", "{{ (1 }}", "{{ [1) }}", "{{ ) }}", "{{ a b }}",
    "{{ 1 is odd is odd }}", "{% set 1 = 2 %}", "{% set true = 2 %}", "{% set x %}", "{% break %}", "{% macro f(a=1, b) %}{% endmacro %}", "{{ f(a=1, 2) }}",
    "{{ a ? b }}", "{{ a.'b' }}", "{{ '\\x4' }}", "{% for x %}{% endfor %}", "{% for x in [1] %}", "{% else %}", "{{ messages | last.role }}", "{{ 'a' is in 1 }}",
    "{% macro f() %}{% break %}{% endmacro %}", "{{ [1] | select('odd') | last }}", "{{ 'abc' | int | join }}", "{{ 1 | join }}",
]

def case(name, template, talk, prompt):
    try:
        out = chat._compile_jinja_template(template).render(messages=[{"role": r, "content": c} for r, c in talk], tools=None, documents=None,
                                                            add_generation_prompt=prompt, bos_token="<s>", eos_token="</s>")
    except Exception:
        out = None
    return {"name": name, "template": template, "talk": talk, "prompt": prompt, "out": out}

def main():
    cases = []
    for name, t in FAMILIES.items():
        for k, talk in enumerate([TALK, TALK[1:3], TALK[1:2], TALK[1:2] * 2]):
            cases.append(case(f"{name}, talk {k}", t, talk, k != 1))
    lines = EXPRESSIONS.strip().replace("\\\n", "\0").split("\n")
    for line in lines:
        cases.append(case("expression", "{{ [" + line.replace("\0", "\\\n") + "] }}", TALK, True))
    for t in STATEMENTS:
        cases.append(case("statement", t, TALK, True))
    for t in REFUSED_BY_JINJA:
        c = case("refused by Jinja", t, TALK, True)
        assert c["out"] is None, t
        cases.append(c)
    print("[\n" + ",\n".join(json.dumps(c, ensure_ascii=True) for c in cases) + "\n]")

main()
