// The editor of SQL: CodeMirror in a shadow root. What it offers and what is wrong with the text, the page's program
// says; see dashboard/src/page/query/editor.rs.
//
// A shadow root, because CodeMirror then keeps its styles in a constructed style sheet: the server's content security
// policy forbids the style element that it would make in a document. Colours are those of the page, by inheritance.
import {
  acceptCompletion, autocompletion, closeBrackets, closeBracketsKeymap, closeCompletion, completionKeymap, completionStatus,
} from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { SQLDialect, sql } from '@codemirror/lang-sql';
import { HighlightStyle, bracketMatching, syntaxHighlighting } from '@codemirror/language';
import { EditorState, Prec, StateEffect, StateField } from '@codemirror/state';
import { Decoration, EditorView, keymap, lineNumbers } from '@codemirror/view';
import { tags } from '@lezer/highlight';

const setProblem = StateEffect.define();
const problem = StateField.define({
  create: () => Decoration.none,
  update(marks, transaction) {
    // What was wrong may no longer be, once the text is another.
    if (transaction.docChanged) marks = Decoration.none;
    for (const effect of transaction.effects) {
      if (!effect.is(setProblem)) continue;
      const { from, to } = effect.value ?? {};
      const mark = Decoration.mark({ class: 'problem', attributes: { 'data-testid': 'sql-problem' } });
      marks = from < to ? Decoration.set([mark.range(from, to)]) : Decoration.none;
    }
    return marks;
  },
  provide: (field) => EditorView.decorations.from(field),
});

const looks = EditorView.theme({
  '&': { minHeight: '128px', color: 'var(--ink)', backgroundColor: 'var(--page)', fontSize: '13px', borderRadius: '4px' },
  '&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '2px' },
  '.cm-scroller': {
    fontFamily: 'ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", "Liberation Mono", monospace',
    lineHeight: '1.55',
    minHeight: '108px',
    maxHeight: '40vh',
  },
  '.cm-content, .cm-gutter': { minHeight: '128px' },
  '.cm-content': { padding: '10px 0', caretColor: 'var(--ink)' },
  '.cm-line': { padding: '0 12px 0 8px' },
  '.cm-gutters': { color: 'var(--quiet)', backgroundColor: 'var(--page)', borderRight: '1px solid var(--line)' },
  '.cm-lineNumbers .cm-gutterElement': { padding: '0 8px 0 12px' },
  '.cm-matchingBracket': { backgroundColor: 'var(--accent-soft)', outline: '1px solid var(--accent)' },
  '.problem': { textDecoration: 'underline wavy var(--bad)', textUnderlineOffset: '3px', backgroundColor: 'var(--bad-soft)' },
  '.cm-tooltip': {
    color: 'var(--ink)',
    backgroundColor: 'var(--surface)',
    border: '1px solid var(--edge)',
    borderRadius: '5px',
    overflow: 'hidden',
    boxShadow: '0 4px 16px rgb(0 0 0 / 18%)',
  },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': { fontFamily: 'inherit', maxHeight: '17em', maxWidth: 'min(560px, 92vw)' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li': { display: 'flex', gap: '16px', padding: '3px 10px' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { color: 'var(--ink)', backgroundColor: 'var(--accent-soft)' },
  '.cm-completionMatchedText': { textDecoration: 'none', fontWeight: '700' },
  '.cm-completionDetail': { marginLeft: 'auto', fontStyle: 'normal', color: 'var(--quiet)' },
});

const ink = HighlightStyle.define([
  { tag: tags.keyword, color: 'var(--accent)', fontWeight: '600' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--series-2)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--series-7)' },
  { tag: [tags.lineComment, tags.blockComment], color: 'var(--quiet)', fontStyle: 'italic' },
]);

// Text in the place of chosen text. Left to itself, the browser keeps how the chosen text looked, by a style attribute, which
// the content security policy forbids: every such key would be a violation in the console.
const replace = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { from, to, empty } = view.state.selection.main;
    if (event.inputType !== 'insertText' || event.data === null || empty || view.composing) return false;
    event.preventDefault();
    const plain = () => view.state.update(view.state.replaceSelection(event.data), { userEvent: 'input.type', scrollIntoView: true });
    // Brackets around a selection, and whatever else listens to what is typed.
    const isTaken = view.state.facet(EditorView.inputHandler).some((take) => take(view, from, to, event.data, plain));
    if (!isTaken) view.dispatch(plain());
    return true;
  },
});

// As DataFusion reads it: double quotes around names, $$ around nothing.
const dialect = SQLDialect.define({
  keywords: 'all and any as asc between both by case cast columns cross current describe desc distinct else end escape ' +
    'except exists explain extract filter first following for from full group having ilike in inner intersect interval ' +
    'into is join last lateral left like limit natural not null nulls offset on only or order outer over partition ' +
    'preceding range recursive right row rows select semi anti show similar table tables then to trailing trim try_cast ' +
    'unbounded union unnest using values when where window with within analyze verbose day hour minute month second week year',
  types: 'bigint boolean char date decimal double float int integer interval numeric precision real smallint string text ' +
    'time timestamp tinyint unsigned varbinary varchar zone',
  builtin: 'true false null',
  operatorChars: '*+-%<>!=&|^/~',
  identifierQuotes: '"',
  doubleQuotedStrings: false,
});

/**
 * Puts an editor into `host`. `page` has `text`, `label`, `changed(text)`, `run()`, and
 * `complete(text, at)`, which gives null or `{ from, options: [{ label, apply, detail }] }`. Places are in UTF-16 units.
 */
export function mount(host, page) {
  const root = host.attachShadow({ mode: 'open' });
  const complete = (context) => {
    const word = context.matchBefore(/[\w."]*/);
    if (!context.explicit && word.from === word.to) return null;
    const found = page.complete(context.state.doc.toString(), context.pos);
    return found && { ...found, validFor: /^\w*$/ };
  };
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: page.text,
      extensions: [
        Prec.highest(keymap.of([{ key: 'Mod-Enter', run: (view) => (closeCompletion(view), page.run(), true) }])),
        // Tab takes what is offered. Where nothing is (Escape takes an offer away) it leaves the editor, as it leaves every field.
        keymap.of([{ key: 'Tab', run: (view) => acceptCompletion(view) || completionStatus(view.state) !== null },
          ...closeBracketsKeymap, ...completionKeymap, ...historyKeymap, ...defaultKeymap]),
        EditorView.lineWrapping, lineNumbers(), history(), bracketMatching(), closeBrackets(), replace, problem, looks,
        autocompletion({ override: [complete], icons: false }),
        sql({ dialect }), syntaxHighlighting(ink),
        EditorState.tabSize.of(4),
        EditorView.contentAttributes.of({ 'aria-label': page.label, 'data-testid': 'sql-input' }),
        EditorView.updateListener.of((update) => update.docChanged && page.changed(update.state.doc.toString())),
      ],
    }),
  });
  return {
    setText(text) {
      if (text !== view.state.doc.toString()) {
        view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
      }
    },
    // Underlines a stretch; none where `from` is not before `to`.
    setProblem(from, to) {
      const end = view.state.doc.length;
      view.dispatch({ effects: setProblem.of({ from: Math.min(from, end), to: Math.min(to, end) }) });
    },
    focusAt(at) {
      const anchor = Math.min(at, view.state.doc.length);
      view.dispatch({ selection: { anchor }, scrollIntoView: true });
      view.focus();
    },
    insert(text) {
      view.dispatch(view.state.replaceSelection(text));
      view.focus();
    },
    destroy: () => view.destroy(),
  };
}
