// Fields of forms: one size, labels always visible, errors tied to their field.

import {
  Checkbox,
  NumberInput,
  type NumberInputProps,
  PasswordInput,
  type PasswordInputProps,
  SegmentedControl,
  Select,
  type SelectProps,
  Switch,
  type SwitchProps,
  Textarea,
  type TextareaProps,
  TextInput,
  type TextInputProps,
} from '@mantine/core'

export function TextField(props: Omit<TextInputProps, 'onChange'> & { onChange?: (value: string) => void }) {
  const { onChange, ...rest } = props
  return <TextInput size="xs" {...rest} onChange={event => onChange?.(event.currentTarget.value)} />
}

export function PasswordField(
  props: Omit<PasswordInputProps, 'onChange'> & { onChange?: (value: string) => void },
) {
  const { onChange, ...rest } = props
  return <PasswordInput size="sm" {...rest} onChange={event => onChange?.(event.currentTarget.value)} />
}

export function AreaField(props: Omit<TextareaProps, 'onChange'> & { onChange?: (value: string) => void }) {
  const { onChange, ...rest } = props
  return (
    <Textarea
      size="xs"
      autosize
      minRows={2}
      maxRows={12}
      {...rest}
      onChange={event => onChange?.(event.currentTarget.value)}
    />
  )
}

export function NumberField(
  props: Omit<NumberInputProps, 'onChange'> & { onChange?: (value: number | undefined) => void },
) {
  const { onChange, ...rest } = props
  return (
    <NumberInput
      size="xs"
      {...rest}
      onChange={value => onChange?.(typeof value === 'number' ? value : undefined)}
    />
  )
}

export function SelectField(props: Omit<SelectProps, 'onChange'> & { onChange?: (value: string) => void }) {
  const { onChange, ...rest } = props
  return (
    <Select
      size="xs"
      allowDeselect={false}
      checkIconPosition="right"
      comboboxProps={{ withinPortal: true }}
      {...rest}
      onChange={value => onChange?.(value ?? '')}
    />
  )
}

export function SwitchField(props: Omit<SwitchProps, 'onChange'> & { onChange?: (on: boolean) => void }) {
  const { onChange, ...rest } = props
  return <Switch size="xs" {...rest} onChange={event => onChange?.(event.currentTarget.checked)} />
}

export function CheckField(props: {
  label: React.ReactNode
  checked: boolean
  onChange: (on: boolean) => void
  disabled?: boolean
}) {
  const { onChange, ...rest } = props
  return <Checkbox size="xs" {...rest} onChange={event => onChange(event.currentTarget.checked)} />
}

export function Choice<T extends string>(props: {
  label: string
  value: T
  options: { value: T; label: string }[]
  onChange: (value: T) => void
}) {
  const { label, value, options, onChange } = props
  return (
    <SegmentedControl
      size="xs"
      aria-label={label}
      value={value}
      data={options}
      onChange={next => onChange(next as T)}
    />
  )
}
