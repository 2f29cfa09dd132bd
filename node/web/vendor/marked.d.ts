export class Lexer {
  constructor(options?: any);
  options: any;
  lex(source: string): any[];
  inlineTokens(source: string, tokens?: any[]): any[];
}
export class Tokenizer {
  space(source: string): any;
  blockquote(source: string): any;
  list(source: string): any;
  html(source: string): any;
  tag(source: string): any;
}
