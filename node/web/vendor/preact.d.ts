// What the page uses of the view library, loosely.
export const h: any;
export const render: (node: any, into: Element) => void;
export const Fragment: any;
export const options: any;
export class Component<P = any, S = any> {
  props: P;
  state: S;
  setState(state: any): void;
  forceUpdate(): void;
  render(props: P, state: S): any;
}
export const createContext: any;
export const createRef: any;
export const cloneElement: any;
export const toChildArray: any;
